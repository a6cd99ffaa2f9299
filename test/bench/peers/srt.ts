import { timed } from '../command.ts'
import type { Contender } from '../contest.ts'
import type { Peers } from './peers.ts'

/** Sandbox-runtime with its default settings: bubblewrap around a command, the host's files read-only around it. */
export const srt = (peers: Peers, dir: string): Contender => ({
  name: 'srt',
  sample: async () => {
    const { first_byte_ms, exit_ms } = await timed(peers.srt, ['echo', 'ready'], { cwd: dir })
    return { srt: exit_ms, 'srt, first byte': first_byte_ms }
  },
})
