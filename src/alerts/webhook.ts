import type { DeadManAlert } from '../contract/dead-man.ts'
import { LazarusError } from '../kernel/errors.ts'

const TIMEOUT_MS = 10_000

/** The operator's own address, from his configuration. A redirect is no answer; the body of one is not read. */
export async function postWebhook(url: string, alert: DeadManAlert, patience_ms = TIMEOUT_MS): Promise<void> {
  const response = await ask(url, alert, patience_ms)
  await response.body?.cancel()
  if (response.ok) return
  const redirect = response.status >= 300 && response.status < 400 ? ', and redirects are not followed' : ''
  throw new LazarusError('runtime_failed', `${new URL(url).origin} answered ${response.status}${redirect}`)
}

/** Paths and queries of webhooks are often secrets: only the origin is told. */
async function ask(url: string, alert: DeadManAlert, patience_ms: number): Promise<Response> {
  try {
    return await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': 'lazarus-pit' },
      body: JSON.stringify(alert),
      redirect: 'manual',
      signal: AbortSignal.timeout(patience_ms),
    })
  } catch (error) {
    const { name, message, cause } = error as Error
    const why =
      name === 'TimeoutError' ? `no answer within ${patience_ms / 1000} s` : ((cause as Error)?.message ?? message)
    throw new LazarusError('runtime_failed', `${new URL(url).origin}: ${why}`, { cause: error })
  }
}
