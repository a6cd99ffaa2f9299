import { type Command, Option } from 'commander'
import { addMissionOptions, autoRevive } from '../mission-options.ts'
import { pair, seconds } from '../parse.ts'
import { type RunOptions, runMission } from '../run-mission.ts'
import { addVerb, type Run } from '../verb.ts'

const WORDS = {
  usage: 'run <command...>',
  summary: 'mission, seat, command, collect and destroy in one; its exit code becomes ours',
  examples: [
    'run -- make test',
    'run --level 3 -- sh -c "sed -i s/a/b/ f.txt && git commit -am mend"',
    'run --repo https://example.org/app.git --network -- ./agent --task "fix the build"',
    'run -i -- sh < script.sh',
  ],
  notes:
    'Without --repo it works on a copy of the checkout around the working directory. Without a running pit it starts one and\n' +
    'stops it at the end. Work that the command left uncommitted is never thrown away: the mission is kept, and named.',
}

export function addRunVerb(program: Command, run: Run): void {
  addVerb<RunOptions>(program, run, WORDS, runMission, (verb) => {
    addMissionOptions(
      verb.option('--repo <path|url>', 'repository to work on (default: the checkout around the working directory)'),
    )
      .addOption(
        new Option('--role <role>', 'what the command may do')
          .choices(['lead', 'write', 'read', 'audit'])
          .default('write'),
      )
      .addOption(autoRevive('no'))
      .option('--name <name>', 'name of the mission')
      .option('--agent <id>', 'id of the seat', 'runner')
      .option('--keep', 'keep the mission instead of destroying it')
      .option('-i, --interactive', 'give the command our stdin, read to its end')
      .option('--env <name=value>', 'variable for the command; repeatable', pair)
      .option('--timeout <duration>', 'kill the command after so long: 90s, 30m, 2h (default: 24h)', seconds)
  })
}
