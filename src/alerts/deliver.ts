import type { AlertWay, DeadManAlert } from '../contract/dead-man.ts'
import { asLazarusError } from '../kernel/errors.ts'
import { runCommand } from './command.ts'
import { appendToFile } from './file.ts'
import { postWebhook } from './webhook.ts'

/** Where alerts go; what is absent is no way. */
export interface AlertWays {
  readonly command?: readonly string[] | undefined
  readonly webhook?: string | undefined
  readonly file?: string | undefined
  /** The whole environment of the command, beside the alert itself. */
  readonly environment: Readonly<Record<string, string>>
}

export interface Delivery {
  readonly way: AlertWay
  /** null: it arrived. */
  readonly error: string | null
}

const SENDERS: { readonly [W in AlertWay]: (ways: AlertWays, alert: DeadManAlert) => Promise<void> } = {
  command: ({ command = [], environment }, alert) => runCommand(command, environment, alert),
  webhook: ({ webhook = '' }, alert) => postWebhook(webhook, alert),
  file: ({ file = '' }, alert) => appendToFile(file, alert),
}

export const waysOf = (ways: AlertWays): readonly AlertWay[] =>
  (Object.keys(SENDERS) as AlertWay[]).filter((way) => ways[way] !== undefined)

/** All at once: one that hangs holds up no other. */
export const deliver = (to: readonly AlertWay[], ways: AlertWays, alert: DeadManAlert): Promise<Delivery[]> =>
  Promise.all(
    to.map(async (way) => {
      try {
        await SENDERS[way](ways, alert)
        return { way, error: null }
      } catch (error) {
        return { way, error: asLazarusError(error).message }
      }
    }),
  )
