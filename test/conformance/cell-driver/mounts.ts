import { access, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CANARY, TMP_BYTES } from './specs.ts'
import type { Cell, Trial } from './trial.ts'

const onHost = (cell: Cell, ...path: string[]) => join(cell.spec.run_dir, '..', ...path)

export function describeMounts(trial: Trial): void {
  describe.runIf(trial.can.processes)('paths in the cell', () => {
    it('shows the base in /workspace and keeps changes in the layer', async () => {
      const cell = await trial.spawn()
      const run = await cell.sh(
        'cat README && echo changed > README && echo new > file && rm src/main.txt && ls src && cat README',
      )
      expect(run).toMatchObject({ exit_code: 0, stdout: 'of the base\nchanged\n' })
      expect(await readFile(onHost(cell, 'base', 'README'), 'utf8')).toBe('of the base\n')
      expect(await readFile(onHost(cell, 'upper', 'file'), 'utf8')).toBe('new\n')
    })

    it('lets the operator write into and delete what the agent wrote: same owner', async () => {
      const cell = await trial.spawn()
      await cell.sh('echo from inside > /artifacts/result; echo kept > /home/agent/note; chmod 600 /artifacts/result')
      await writeFile(onHost(cell, 'artifacts', 'result'), 'from outside\n')
      expect(await readFile(onHost(cell, 'home', 'note'), 'utf8')).toBe('kept\n')
      expect(await cell.sh('cat /artifacts/result; stat -c %u:%g /artifacts/result; id -u; id -g')).toMatchObject({
        stdout: 'from outside\n1000:1000\n1000\n1000\n',
      })
    })

    it('keeps /mission read-only', async () => {
      const cell = await trial.spawn()
      const run = await cell.sh('cat /mission/brief.md; echo x > /mission/brief.md; touch /mission/new')
      expect(run.stdout).toBe('# Brief\n')
      expect(run.exit_code).not.toBe(0)
      expect(await readFile(onHost(cell, 'mission', 'brief.md'), 'utf8')).toBe('# Brief\n')
    })

    it('reaches the door of the seat at /run/lazarus/cell.sock', async () => {
      const cell = await trial.spawn()
      const dial = 'use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => shift) or die "refused: $!"; print <$s>'
      expect(await cell.run(['perl', '-e', dial, '/run/lazarus/cell.sock'])).toMatchObject({
        exit_code: 0,
        stdout: 'door\n',
      })
    })

    it('gives a private /tmp that is bounded and shared between agent and exec', async () => {
      const cell = await trial.spawn({ command: ['/bin/sh', '-c', 'echo here > /tmp/mark; exec sleep infinity'] })
      expect(await cell.sh('while ! cat /tmp/mark 2>/dev/null; do :; done')).toMatchObject({ stdout: 'here\n' })
      const fill = await cell.sh(
        `head -c ${TMP_BYTES * 2} /dev/zero > /tmp/big; s=$?; stat -c %s /tmp/big; rm /tmp/big; exit $s`,
      )
      expect(fill.exit_code).not.toBe(0)
      expect(Number(fill.stdout)).toBeLessThanOrEqual(TMP_BYTES)
      await expect(access('/tmp/mark')).rejects.toThrow()
    })

    it('mounts the worktree read-only, as a clone, or not at all, and says so', async () => {
      const readOnly = await trial.spawn({ workspace: 'read_only' })
      expect((await readOnly.sh('cat README; touch new')).exit_code).not.toBe(0)
      expect(readOnly.effective.workspace).toBe('read_only')
      const clone = await trial.spawn({ workspace: 'clone' })
      expect((await clone.sh('echo x > new')).exit_code).toBe(0)
      expect(clone.effective.workspace).toBe('clone')
      const none = await trial.spawn({ workspace: 'none' })
      expect((await none.sh('ls /workspace/README')).exit_code).not.toBe(0)
      expect(none.effective.workspace).toBe('none')
    })

    it.runIf(trial.can.isolation)(
      'hides the homes and the host, and lets nothing be written outside the mounts',
      async () => {
        const cell = await trial.spawn()
        const secret = join(cell.spec.hidden_paths[0]!, 'secret')
        expect(await readFile(secret, 'utf8'), 'positive control: the host reads it').toBe(CANARY)
        for (const path of [secret, `/proc/1/root${secret}`, `/proc/self/root${secret}`]) {
          const run = await cell.sh('cat "$1"', path)
          expect(run.exit_code).not.toBe(0)
          expect(run.stdout + run.stderr).not.toContain(CANARY)
        }
        const writes = await cell.sh(
          'for d in / /etc /usr /usr/bin /var /run /opt; do touch $d/x 2>/dev/null && echo $d; done; true',
        )
        expect(writes.stdout).toBe('')
        expect(
          (await cell.sh('ls /artifacts/.. | grep -q mission')).exit_code,
          'positive control: the root is listed',
        ).toBe(0)
      },
    )
  })
}
