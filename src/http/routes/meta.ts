import { BytesReply, type SomeHandlers } from '../handler.ts'

interface Meta {
  readonly document: Readonly<Record<string, unknown>>
  /** Prometheus text. */
  readonly metrics: () => Promise<string>
}

export const metaHandlers = ({ document, metrics }: Meta): SomeHandlers<'healthz' | 'metrics' | 'openapi'> => ({
  healthz: async () => ({ status: 'ok' }),
  openapi: async () => document,
  metrics: async () => new BytesReply('text/plain; version=0.0.4; charset=utf-8', await metrics()),
})
