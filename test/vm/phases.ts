import { type Count, countFacts, countReport, countWhole } from './tally.ts'

export interface Ran {
  readonly log: string
  /** What vitest wrote; null when it did not come to that. */
  readonly report: string | null
  readonly exitCode: number
}

/** One script that runs in the checkout inside the machine, in a login of its own. */
export interface Phase {
  readonly name: string
  readonly script: string
  readonly count: (ran: Ran) => Count
}

const facts: Phase['count'] = ({ log }) => countFacts(log)
const whole: Phase['count'] = ({ exitCode }) => countWhole(exitCode)
const report: Phase['count'] = (ran) => countReport(ran.report, ran.exitCode)

/** Emulated processors are some fifty times slower: every deadline of the suite grows with them. */
const patient = '--testTimeout=900000 --hookTimeout=900000 --maxWorkers=1'
const reporters = '--reporter=verbose --reporter=json --outputFile.json="$HOME/report.json"'
const vitest = `bin/as-operator vitest run --config test/vm/vitest.config.ts ${patient} ${reporters}`

const conformance = 'test/drivers/unshare test/drivers/bwrap test/drivers/podman/conformance'
/** Seen already; and each image of the last one is copied with mapped owners, which takes many minutes emulated. */
const without = '--exclude "**/conformance.test.ts" --exclude "**/podman/images.test.ts"'

/** In the order of what only this machine can show: a run that is cut short has seen the most. */
export const phases: readonly Phase[] = [
  { name: 'facts', script: 'test/vm/guest/facts', count: facts },
  { name: 'setup', script: 'bin/setup', count: whole },
  { name: 'quickstart', script: 'npm run quickstart -- --once', count: whole },
  { name: 'limits', script: `${vitest} test/vm/limits`, count: report },
  { name: 'conformance', script: `npm test -- ${conformance} ${patient} ${reporters}`, count: report },
  { name: 'service', script: `${vitest} test/vm/service`, count: report },
  { name: 'drivers', script: `npm test -- test/drivers test/linux ${without} ${patient} ${reporters}`, count: report },
  // The last one: it takes a controller from the user's manager and restarts that.
  { name: 'undelegated', script: `test/vm/guest/undelegate && ${vitest} test/vm/undelegated`, count: report },
]
