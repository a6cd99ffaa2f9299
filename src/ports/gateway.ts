export type GatewayAnswer =
  | { readonly ok: true; readonly took_ms: number }
  | { readonly ok: false; readonly error: string }

/** Asks an agent's own gateway how it is. Never throws for what the gateway does; bounded in time and bytes. */
export interface Gateway {
  ask(url: string, abort: AbortSignal): Promise<GatewayAnswer>
}
