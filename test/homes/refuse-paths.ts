/** Prints, for each path, how it relates to a home below <root>/home, or null. Runs where the test put bind mounts. */
import { refuseHomes } from '../../src/homes/refuse.ts'
import { expandHomes } from '../../src/homes/registry.ts'
import { isLazarusError } from '../../src/kernel/errors.ts'

const [root, ...paths] = process.argv.slice(2)
const homes = await expandHomes([`${root}/home/*`])
const verdicts: unknown[] = []
for (const path of paths) {
  const error: unknown = await refuseHomes(path, homes, []).then(
    () => null,
    (thrown) => thrown,
  )
  verdicts.push(isLazarusError(error) ? error.details?.relation : error)
}
console.log(JSON.stringify(verdicts))
