import type { SeatName } from '../contract/ids.ts'

/** What a seat needs to be started again and must not stand in the ledger: the values of its environment. */
export interface SeatVault {
  put(seat: SeatName, environment: Readonly<Record<string, string>>): Promise<void>
  get(seat: SeatName): Promise<Readonly<Record<string, string>>>
  remove(seat: SeatName): Promise<void>
}
