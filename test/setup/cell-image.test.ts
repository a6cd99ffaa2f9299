import { beforeAll, describe, expect, it } from 'vitest'
import { run } from './run.ts'

describe('the cell image', () => {
  let image = ''
  const RUN = ['podman', 'run', '--rm', '--network=none', '--userns=keep-id:uid=1000,gid=1000']
  const inside = (...command: string[]) => run('bin/as-operator', [...RUN, image, ...command], { cwd: '/' })

  beforeAll(async () => {
    image = (await run('images/cell/tag', [])).stdout.trim()
  })

  it('is named by the hash of its inputs', () => {
    expect(image).toMatch(/^localhost\/lazarus-cell:[0-9a-f]{12}$/)
  })

  it('lies in a rootless overlay store', async () => {
    const format = '{{.Host.Security.Rootless}} {{.Store.GraphDriverName}}'
    expect((await run('bin/as-operator', ['podman', 'info', '--format', format])).stdout).toBe('true overlay\n')
  })

  it('has the tools of an agent, and user agent with id 1000', async () => {
    const script =
      'for t in git sh bash tar curl ls; do command -v $t >/dev/null || echo no $t; done; id -un; id -u; pwd; git --version'
    const { stdout, stderr, code } = await inside('sh', '-c', script)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^agent\n1000\n\/workspace\ngit version 2\.\d+/)
  })

  it('has the directories of a cell, writable for the agent, and trusted certificates', async () => {
    const script =
      'for d in /workspace /artifacts /mission /run/lazarus $HOME; do touch $d/.probe || exit 1; done; echo $HOME; test -s /etc/ssl/certs/ca-certificates.crt'
    expect(await inside('sh', '-c', script)).toMatchObject({ code: 0, stdout: '/home/agent\n' })
  })
})
