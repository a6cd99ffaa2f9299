/** Lets the compiler count the cases: reached only when a union grew and a switch did not. */
export function unreachable(value: never): never {
  throw new Error(`unhandled case: ${JSON.stringify(value)}`)
}
