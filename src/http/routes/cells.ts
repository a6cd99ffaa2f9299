import type { SomeHandlers } from '../handler.ts'

export const cellHandlers: SomeHandlers<'cells_scan' | 'cell_init'> = {
  cells_scan: ({ app }) => app.scan(),
  cell_init: ({ app, params }) => app.initCell(params.mission_id),
}
