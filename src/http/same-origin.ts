import { LazarusError } from '../kernel/errors.ts'

export interface Headers {
  readonly host?: string | undefined
  readonly origin?: string | undefined
}

const LOCAL_NAMES = ['localhost', '127.0.0.1', '[::1]']

/** The Host values that mean this server: a page of another name that resolves to loopback is a rebinding attack. */
export function hostsOf(name: string, port: number): ReadonlySet<string> {
  return new Set([...LOCAL_NAMES, name.toLowerCase()].map((host) => `${host}:${port}`))
}

/** Browsers name the page that asks in Origin: only pages of this server itself may. */
export function refuseForeignPages(hosts: ReadonlySet<string>, headers: Headers): void {
  const host = (headers.host ?? '').toLowerCase()
  if (!hosts.has(host)) {
    throw new LazarusError('forbidden', `Host ${JSON.stringify(host.slice(0, 100))} is not this server`, {
      remedy: `Use one of: ${[...hosts].join(', ')}`,
    })
  }
  if (headers.origin !== undefined && headers.origin.toLowerCase() !== `http://${host}`) {
    throw new LazarusError(
      'forbidden',
      `Origin ${JSON.stringify(headers.origin.slice(0, 100))} may not call this server`,
      {
        remedy: 'Call the API from a program, not from a page of another origin.',
      },
    )
  }
}
