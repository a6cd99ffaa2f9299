import { ROUTES } from '../contract/api.ts'

const PATTERNS = Object.values(ROUTES).map(({ method, path }) => ({
  method,
  pattern: new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/:\w+/g, '[^/]+')}$`),
}))

/** The methods that the route table has for a path. */
export const allowedMethods = (path: string): readonly string[] =>
  PATTERNS.filter(({ pattern }) => pattern.test(path))
    .map(({ method }) => method)
    .sort()
