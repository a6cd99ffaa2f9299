import { constants } from 'node:os'

const NAMES = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]))

/** The signal that an exit code of a shell tells (128 + n), or null. */
export function signalName(exit_code: number): string | null {
  if (exit_code < 129 || exit_code > 192) return null
  return NAMES.get(exit_code - 128) ?? `SIG${exit_code - 128}`
}

export const signalNumber = (name: string): number => constants.signals[name as NodeJS.Signals] ?? 0
