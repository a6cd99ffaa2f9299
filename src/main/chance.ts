import { randomBytes, randomUUID } from 'node:crypto'
import type { Clock, Entropy } from '../kernel/clock.ts'

export const systemClock: Clock = { now: () => Date.now(), monotonic: () => performance.now() }

export const systemEntropy: Entropy = {
  uuid: () => randomUUID(),
  token: (bytes) => randomBytes(bytes).toString('base64url'),
}
