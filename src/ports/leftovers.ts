/** What a killed pit can leave of a mission beside its cell directory: sockets, records, secrets. */
export interface Leftovers {
  /** Deletes what belongs to missions that are not alive. */
  sweep(isAlive: (mission_id: string) => boolean): Promise<void>
}
