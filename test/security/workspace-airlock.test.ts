import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createAirlock } from '../../src/workspace/airlock.ts'
import { hostGit, makeOrigin, never } from '../workspace/support.ts'
import { AttackBed, CANARY } from './workspace-support.ts'

let bed: AttackBed
beforeEach(() => {
  bed = new AttackBed()
})
afterEach(() => bed[Symbol.asyncDispose]())

/** A clean filter runs in the airlock, and what it prints comes out as the content of the diff: our spy. */
async function spy(script: string, overrides: ConstructorParameters<typeof AttackBed>[0] = {}): Promise<string> {
  const seat = await bed.seat(makeOrigin(bed.path('origin')))
  await seat.sh(`cat > .git/spy <<'SPY'\n${script}\nSPY
    git config filter.spy.clean 'sh /workspace/.git/spy 2>&1'; echo 'report filter=spy' > .gitattributes; echo x > report`)
  const { text } = await bed.another(overrides).diff(seat.layer, 1e6, never)
  return Buffer.from(text).toString('utf8')
}

describe('code of the agent inside the airlock', () => {
  it('has no capability, no network and no host', async () => {
    const report = await spy(`echo caps $(grep CapEff /proc/self/status)
      echo links $(ls /sys/class/net 2>/dev/null; cat /proc/net/dev | tail -n +3 | cut -d: -f1)
      cat ${bed.secret}; ls -d ${bed.root} /home /root /etc/passwd /var /run/user 2>&1
      echo pids $(ls /proc | grep -c '^[0-9]'); env | cut -d= -f1 | sort | tr '\\n' ' '`)
    expect(report).toMatch(/\+caps CapEff: 0000000000000000/)
    expect(report).toMatch(/\+links lo$/m)
    expect(report).not.toContain(CANARY)
    for (const path of [bed.root, '/home', '/root', '/etc/passwd', '/var'])
      expect(report).toContain(`cannot access '${path}'`)
    expect(Number(/\+pids (\d+)/.exec(report)?.[1])).toBeLessThan(15)
    expect(report).not.toContain('LAZARUS_')
  })

  it('cannot make its read-only views writable, also not as root of a namespace of its own', async () => {
    const attempts = ['/', '/usr', '/upper', '/workspace', '/run/lazarus-git/objects']
      .map(
        (path) =>
          `mount -o remount,rw,bind ${path} && echo BROKEN ${path}; umount ${path} && echo BROKEN ${path}; touch ${path}/planted && echo BROKEN ${path}`,
      )
      .join('; ')
    const report = await spy(`echo begin; ${attempts}; unshare -Urm sh -c '${attempts}'; echo end`)
    expect(report).toMatch(/\+begin[\s\S]*\+end/)
    expect(report).not.toContain('BROKEN')
  })

  it('could do so with the capabilities that rm and tar keep (positive control)', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    const airlock = createAirlock(bed.path('airlock'), {
      timeout_ms: 10_000,
      long_timeout_ms: 10_000,
      scratch_bytes: 1e6,
      processes: 32,
      memory_bytes: 1e9,
      at_once: 1,
    })
    const mounts = [{ kind: 'bind', source: join(seat.directory, 'upper'), target: '/upper', read_only: true }] as const
    const script = 'mount -o remount,rw,bind /upper && touch /upper/planted'
    const at = (unprivileged: boolean) => airlock.pass({ script, args: [], mounts, unprivileged, abort: never })
    expect((await at(true)).exit_code).not.toBe(0)
    expect(readdirSync(join(seat.directory, 'upper'))).not.toContain('planted')
    expect((await at(false)).exit_code).toBe(0)
    expect(readdirSync(join(seat.directory, 'upper'))).toContain('planted')
  })

  it('ends with the time it is given, and every process with it', async () => {
    const tag = `lazarus-${process.pid}-${Math.floor(performance.now())}`
    const begin = performance.now()
    await expect(
      spy(`(setsid sh -c 'trap "" TERM; exec -a ${tag} sleep 300' &) ; bash -c 'exec -a ${tag} sleep 300'`, {
        limits: { airlock_timeout_ms: 1500 },
      }),
    ).rejects.toMatchObject({
      code: 'bundle_refused',
    })
    expect(performance.now() - begin).toBeLessThan(20_000)
    const commands = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => {
        try {
          return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
        } catch {
          return ''
        }
      })
    expect(commands.filter((line) => line.includes(tag))).toEqual([])
  })

  it('cannot fill the disk or the process table', async () => {
    const report = await spy(
      `head -c 100000000 /dev/zero > /scratch/fill 2>/dev/null; echo filled $(stat -c %s /scratch/fill)
      i=0; while [ $i -lt 200 ]; do sleep 5 & i=$((i+1)); done 2>/dev/null; echo forks $(ls /proc | grep -c '^[0-9]')`,
      { limits: { airlock_scratch_bytes: 20_000_000 } },
    ).catch((error) => error.message)
    const filled = Number(/filled (\d+)/.exec(report)?.[1] ?? 0)
    expect(filled).toBeLessThanOrEqual(20_000_000)
    const forks = /forks (\d+)/.exec(report)
    if (forks) expect(Number(forks[1])).toBeLessThanOrEqual(70)
  })
})

describe('the airlock', () => {
  it('leaves nothing in the state directory', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await bed.workspace.collect(seat.layer, never)
    expect(readdirSync(join(bed.state, 'airlock'))).toEqual(['roots'])
  })

  it('ends at once when it is aborted', async () => {
    const seat = await bed.seat(makeOrigin(bed.path('origin')))
    await seat.sh(`git config filter.slow.clean 'sleep 100'; echo 'slow filter=slow' > .gitattributes; echo x > slow`)
    const abort = new AbortController()
    const pending = bed.workspace.diff(seat.layer, 1e6, abort.signal)
    setTimeout(() => abort.abort(new Error('enough')), 200)
    await expect(pending).rejects.toThrow('enough')
    expect(hostGit(seat.trusted, 'for-each-ref', 'refs/heads')).toBe('')
  })
})
