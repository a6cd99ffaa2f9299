/**
 * Waits at the gate until `hold` has settled, well or not. An abort ends the wait with its reason; a hold that is
 * handed over late or never looked at cannot end the process by its rejection.
 */
export async function untilReleased(hold: Promise<unknown> | undefined, abort: AbortSignal): Promise<void> {
  if (hold === undefined) return
  abort.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => aborted.reject(abort.reason)
  abort.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([hold.catch(() => {}), aborted.promise])
  } finally {
    abort.removeEventListener('abort', onAbort)
  }
}

/** To be called before anything is awaited: a start that fails on the way never comes to look at its hold. */
export function acceptHold({ hold }: { readonly hold?: Promise<unknown> }): void {
  hold?.catch(() => {})
}
