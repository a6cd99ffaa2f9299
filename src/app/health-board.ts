/** What agents said of themselves, and what their gateways answered. */
export class HealthBoard {
  /** Metadata of the last heartbeat of this seat: its session id, for example. */
  session(_mission_id: string, _agent_id: string): Readonly<Record<string, unknown>> {
    return {}
  }
}
