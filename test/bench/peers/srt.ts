import { timed } from '../command.ts'
import type { Contender } from '../contest.ts'
import type { Peers } from './peers.ts'

/** Sandbox-runtime with its default settings: bubblewrap around a command, the host's files read-only around it. */
export const srt = (peers: Peers, dir: string): Contender => ({
  name: 'srt',
  sample: async () => (await timed(peers.srt, ['echo', 'ready'], { cwd: dir })).first_byte_ms,
})
