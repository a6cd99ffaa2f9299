import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isLauncher, type Launch, launchArguments, toDrop, unexpected } from '../../../src/drivers/podman/launch.ts'

const LAUNCH: Launch = {
  command: ['true'],
  cwd: '/',
  limits: {},
  memory_by_cgroup: true,
  drop: [],
  gate: false,
  mark: null,
}
const argument = fc.string().filter((text) => !text.includes('\0'))

function shell(change: Partial<Launch>, env: Record<string, string> = { PATH: '/usr/bin:/bin' }): string {
  const [file, ...args] = launchArguments({ ...LAUNCH, ...change })
  return execFileSync(file!, args, { env, encoding: 'utf8' })
}

describe('launcher', () => {
  it('hands every argument on as it is', () => {
    fc.assert(
      fc.property(fc.array(argument), (args) => {
        const told = shell({ command: ['printf', '%s\\0', 'first', ...args] })
        expect(told.split('\0').slice(0, -1)).toEqual(['first', ...args])
      }),
      { numRuns: 30 },
    )
  })

  it('never puts input into the script', () => {
    fc.assert(
      fc.property(fc.array(argument, { minLength: 1 }), argument, (command, cwd) => {
        const args = launchArguments({ ...LAUNCH, command, cwd })
        expect(args.slice(0, 3)).toEqual(launchArguments(LAUNCH).slice(0, 3))
        expect(args.slice(-command.length)).toEqual(command)
      }),
    )
  })

  it('sets what limits a process, and marks it', () => {
    const limits = { nofile: 64, disk: 1024 ** 2, memory: 512 * 1024 ** 2 }
    const told = shell({ command: ['cat', '/proc/self/limits'], limits, memory_by_cgroup: false, mark: 123_456_789 })
    expect(told).toMatch(/Max open files +64 +64 /)
    expect(told).toMatch(/Max file size +1048576 +1048576 /)
    expect(told).toMatch(/Max data size +536870912 +536870912 /)
    expect(told).toMatch(/Max core file size +0 +0 /)
    expect(told).toMatch(/Max file locks +123456789 +123456789 /)
  })

  it('drops the variables that it is told to drop, and none of its own stay', () => {
    const env = { PATH: '/usr/bin:/bin', SECRET: 'x', KEPT: 'y' }
    expect(
      shell({ command: ['/usr/bin/env'], drop: ['SECRET'] }, env)
        .trim()
        .split('\n')
        .filter((line) => !line.startsWith('_='))
        .sort(),
    ).toEqual(['KEPT=y', 'PATH=/usr/bin:/bin'])
  })

  it.each([
    [126, { cwd: '/no/such/place' }],
    [126, { command: ['/etc/passwd'] }],
    [127, { command: ['no-such-command'] }],
    [7, { command: ['/bin/sh', '-c', 'exit 7'] }],
  ])('ends with %i for %j', (code, change) => {
    const [file, ...args] = launchArguments({ ...LAUNCH, ...change })
    const run = () => execFileSync(file!, args, { env: { PATH: '/usr/bin:/bin' }, stdio: 'pipe' })
    expect(run).toThrow(expect.objectContaining({ status: code }))
  })

  it('is known by its command line until it has become the command', () => {
    expect(isLauncher(`${launchArguments(LAUNCH).join('\0')}\0`)).toBe(true)
    expect(isLauncher('/bin/sh\0-c\0echo hello\0')).toBe(false)
  })

  it('drops what the container has and the command does not name', () => {
    const dropped = toDrop(['A=1', 'B=2', 'odd name=3'], { B: 'other', PATH: '/bin' })
    expect(dropped).toEqual(expect.arrayContaining(['A', 'HOME', 'HOSTNAME', 'TERM', 'container', 'https_proxy']))
    for (const name of ['B', 'PATH', 'odd name']) expect(dropped).not.toContain(name)
  })

  it('knows what nobody told it to drop', () => {
    expect(unexpected(['A=1', 'OF_IMAGE=2', 'HOME=/', 'ADDED=x'], ['OF_IMAGE=2'], { A: '1' })).toEqual(['ADDED'])
  })
})
