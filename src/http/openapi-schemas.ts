import { z } from 'zod'
import { errorBody } from '../contract/api.ts'
import { scanReport } from '../contract/cell.ts'
import { recordedEvent } from '../contract/event.ts'
import { seal, sealRequest, verification, verifyRequest } from '../contract/home.ts'
import { hostReport, levelReport } from '../contract/host.ts'
import { cellPolicies, destroyReport, mission, missionRequest, withdrawReport } from '../contract/mission.ts'
import { declaredIsolation, effectiveIsolation, limits, policyOverride } from '../contract/policy.ts'
import {
  collection,
  execFrame,
  execRequest,
  execResult,
  exitFact,
  killRequest,
  seat,
  seatRequest,
  spawnedSeat,
} from '../contract/seat.ts'

export type Json = Readonly<Record<string, unknown>>

/** Schemas that get a name in the document; everything else stands where it is used. */
const NAMED: Readonly<Record<string, z.ZodType>> = {
  MissionRequest: missionRequest,
  SeatRequest: seatRequest,
  ExecRequest: execRequest,
  KillRequest: killRequest,
  SealRequest: sealRequest,
  VerifyRequest: verifyRequest,
  PolicyOverride: policyOverride,
  Mission: mission,
  CellPolicies: cellPolicies,
  DestroyReport: destroyReport,
  WithdrawReport: withdrawReport,
  Seat: seat,
  SpawnedSeat: spawnedSeat,
  ExitFact: exitFact,
  ExecResult: execResult,
  ExecFrame: execFrame,
  Collection: collection,
  DeclaredIsolation: declaredIsolation,
  EffectiveIsolation: effectiveIsolation,
  Limits: limits,
  Seal: seal,
  Verification: verification,
  HostReport: hostReport,
  LevelReport: levelReport,
  ScanReport: scanReport,
  Event: recordedEvent,
  Error: errorBody,
}
const NAME_OF = new Map<unknown, string>(Object.entries(NAMED).map(([name, schema]) => [schema, name]))
const REQUESTS = new Set([
  'MissionRequest',
  'SeatRequest',
  'ExecRequest',
  'KillRequest',
  'SealRequest',
  'VerifyRequest',
  'PolicyOverride',
])

export function namedSchemas(): Json {
  const schemas = Object.entries(NAMED).map(
    ([name, schema]) => [name, convert(schema, REQUESTS.has(name) ? 'input' : 'output')] as const,
  )
  return Object.fromEntries(schemas)
}

export function reference(schema: unknown): Json | undefined {
  const name = NAME_OF.get(schema)
  return name === undefined ? undefined : { $ref: `#/components/schemas/${name}` }
}

/** JSON Schema 2020-12, the dialect of OpenAPI 3.1; named schemas inside become references. */
export function convert(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...converted } = z.toJSONSchema(schema, {
    io,
    override: ({ zodSchema, jsonSchema, path }) => {
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
      const ref = path.length === 0 ? undefined : reference(zodSchema)
      if (ref === undefined) return
      for (const key of Object.keys(jsonSchema)) delete jsonSchema[key]
      Object.assign(jsonSchema, ref)
    },
  })
  return converted
}
