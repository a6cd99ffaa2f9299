import type { IsolationLevel, Role, SandboxName } from '../contract/ids.ts'
import type { Policy } from '../contract/policy.ts'

/** The whole environment of a cell; nothing of the host's own gets in. */
export function cellEnvironment(
  name: SandboxName,
  role: Role,
  level: IsolationLevel,
  policy: Policy,
  own: Readonly<Record<string, string>>,
  resumed_from: string | null,
): Readonly<Record<string, string>> {
  return {
    ...policy.environment,
    HOME: '/home/agent',
    USER: 'agent',
    ...own,
    LAZARUS_MISSION_ID: name.mission_id,
    LAZARUS_AGENT_ID: name.agent_id,
    LAZARUS_ROLE: role,
    LAZARUS_GENERATION: String(name.generation),
    LAZARUS_LEVEL: level,
    LAZARUS_SOCKET: '/run/lazarus/cell.sock',
    ...(resumed_from !== null && { LAZARUS_RESUMED_FROM: resumed_from }),
  }
}
