import type { SandboxName } from '../contract/ids.ts'

/** The socket that a seat sees as /run/lazarus/cell.sock. Who holds it is the seat: no token is needed. */
export interface CellDoor {
  /** Listens (again) for this generation; resolves to the host directory to bind at /run/lazarus. */
  open(name: SandboxName): Promise<string>
  close(name: SandboxName): Promise<void>
}
