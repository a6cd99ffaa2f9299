import type { Command } from 'commander'
import type { InstalledService, UninstalledService } from '../../contract/service.ts'
import { LazarusError } from '../../kernel/errors.ts'
import { addVerb, type Run } from '../verb.ts'

const INSTALL = {
  usage: 'install',
  summary: 'install the pit and its dead-man switch as systemd units of this user, and start them',
  examples: ['service install', 'service install --no-start'],
  notes:
    'May be repeated: it says what it changed. LAZARUS_* variables and --state-dir of this call go into the units.',
}
const UNINSTALL = {
  usage: 'uninstall',
  summary: 'stop the pit, and remove its units; agents go on and wait for the next pit',
  examples: ['service uninstall'],
}
const PRINT = {
  usage: 'print [unit]',
  summary: 'print the units as install would write them',
  examples: ['service print', 'service print lazarus-pit.service'],
}

export function addServiceVerbs(program: Command, run: Run): void {
  const service = program.command('service').description('run the pit by systemd, with a dead-man switch beside it')
  addVerb<{ start: boolean }>(
    service,
    run,
    INSTALL,
    async (session, _args, { start }) => {
      const work = session.settings.local.service.install(session.state_dir, start)
      const value = await session.progress('Installing', work)
      await session.print({ text: JSON.stringify(value), value }, installed)
    },
    (verb) => verb.option('--no-start', 'only write and enable them'),
  )
  addVerb(service, run, UNINSTALL, async (session) => {
    const value = await session.progress('Stopping', session.settings.local.service.uninstall())
    await session.print({ text: JSON.stringify(value), value }, actions)
  })
  addVerb(service, run, PRINT, async (session, [name]) => {
    const value = await session.settings.local.service.print(session.state_dir)
    await session.print({ text: JSON.stringify(value), value }, () => printed(value, name))
  })
}

const installed = (report: InstalledService): string =>
  [actions(report), state(report), ...report.notes.map((note) => `${note}\n`)].join('')

const state = ({ running, started }: InstalledService): string => {
  if (running) return 'The pit runs; look with: lazarus status\n'
  return started
    ? 'The pit does not run: systemctl --user status lazarus-pit\n'
    : 'Start it with: systemctl --user start lazarus-pit lazarus-dead-man.timer\n'
}

const actions = ({ directory, units }: InstalledService | UninstalledService): string =>
  units.map(({ name, action }) => `${action.padEnd(9)}  ${directory}/${name}\n`).join('')

function printed(units: Readonly<Record<string, string>>, name: string | undefined): string {
  if (name === undefined)
    return Object.entries(units)
      .map(([file, text]) => `# ${file}\n${text}`)
      .join('\n')
  if (Object.hasOwn(units, name)) return units[name] ?? ''
  throw new LazarusError('invalid_request', `There is no unit ${JSON.stringify(name)}`, {
    remedy: `Name one of: ${Object.keys(units).join(', ')}`,
  })
}
