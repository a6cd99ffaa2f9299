import type { CheckpointStore } from '../ports/checkpoint-store.ts'
import type { Workspace } from '../ports/workspace.ts'
import { createCheckpointStore } from './checkpoint-store.ts'
import { makeParts } from './parts.ts'
import { createWorkspace } from './workspace.ts'
import type { WorkspaceDeps } from './workspace-deps.ts'

/** The two ports to what is below a missions path. They share one airlock, and one queue for each seat. */
export function createWorktrees(deps: WorkspaceDeps): {
  readonly workspace: Workspace
  readonly checkpoints: CheckpointStore
} {
  const parts = makeParts(deps)
  return { workspace: createWorkspace(deps, parts), checkpoints: createCheckpointStore(deps, parts) }
}
