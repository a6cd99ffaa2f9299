import { type ErrorCode, isLazarusError, LazarusError, type LazarusErrorOptions } from '../../kernel/errors.ts'

/** What docker-modem throws: an HTTP answer that is no success, or an error of the socket. */
interface ForeignError {
  readonly statusCode?: number
  readonly json?: { readonly message?: string; readonly cause?: string }
  readonly code?: string
  readonly message?: string
}

interface Translation {
  readonly when: RegExp
  readonly code: ErrorCode
  readonly remedy?: string
}

/** Words in Podman's and crun's messages that name a cause with a remedy of its own. First match wins. */
const TRANSLATIONS: readonly Translation[] = [
  { when: /no space left on device|disk quota exceeded/i, code: 'storage_full' },
  {
    when: /cgroups? in hybrid mode/i,
    code: 'isolation_unavailable',
    remedy: 'crun refuses hybrid cgroups: start the pit with bin/as-operator, or boot with cgroup v2 alone.',
  },
  {
    when: /(memory|pids|cpu)\.max|controller.*not (available|delegated)/i,
    code: 'isolation_degraded',
    remedy: 'Delegate the cgroup controllers cpu, memory and pids to the operator, or allow the degradation by name.',
  },
  {
    when: /container .*paused|is paused/i,
    code: 'conflict',
    remedy: 'Resume the mission first; what was paused with podman is resumed with podman unpause.',
  },
  { when: /no such image|image not known|repository name must have/i, code: 'image_unavailable' },
  {
    when: /newuidmap|newgidmap|subuid|subgid|potentially insufficient UIDs|mapp(ing|ed) .*not/i,
    code: 'isolation_unavailable',
    remedy: 'Give the operator subordinate ids: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 <user>',
  },
  {
    when: /catatonit|container-init binary|podman-init/i,
    code: 'isolation_unavailable',
    remedy: 'Install the package catatonit.',
  },
]

const textOf = (error: ForeignError): string => error.json?.message ?? error.message ?? String(error)

export const statusOf = (error: unknown): number | null => (error as ForeignError | null)?.statusCode ?? null
export const isGone = (error: unknown): boolean => statusOf(error) === 404
export const isImproper = (error: unknown): boolean =>
  /container state improper/i.test(textOf((error ?? {}) as ForeignError))
export const isConflict = (error: unknown): boolean =>
  statusOf(error) === 409 || /name .* is already in use|already in use/i.test(textOf(error as ForeignError))

/** A foreign error as a LazarusError: `what` was tried, `otherwise` is its code when the words name no better one. */
export function translate(error: unknown, what: string, otherwise: ErrorCode = 'runtime_failed'): LazarusError {
  if (isLazarusError(error)) return error
  const foreign = (error ?? {}) as ForeignError
  const text = textOf(foreign).trim()
  if (foreign.code === 'ENOENT' || foreign.code === 'ECONNREFUSED' || foreign.code === 'ECONNRESET') {
    return failure('runtime_failed', `${what}: the API of Podman does not answer (${text})`, error, {
      remedy:
        'Start it with: systemctl --user start podman.socket, or leave DOCKER_HOST unset so that the pit starts one.',
    })
  }
  const known = TRANSLATIONS.find(({ when }) => when.test(text))
  return failure(known?.code ?? otherwise, `${what}: ${text}`, error, known?.remedy ? { remedy: known.remedy } : {})
}

function failure(code: ErrorCode, message: string, cause: unknown, options: LazarusErrorOptions): LazarusError {
  return new LazarusError(code, message, { ...options, cause, details: { status: statusOf(cause) } })
}
