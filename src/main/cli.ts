#!/usr/bin/env node
import { existsSync, mkdirSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { compileCacheOf } from './compile-cache.ts'
import { stateDirOf } from './state-dir.ts'

const stateDir = stateDirOf(process.env)

// Compiled code is kept between calls, where nobody else can write: it makes the start three times as fast, and a
// pit that finds it never loads the compiler. What cannot be made here, serve itself says.
if (process.argv[2] === 'serve') {
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 })
  } catch {}
}
if (existsSync(stateDir)) enableCompileCache(compileCacheOf(stateDir))

const { runOnProcess } = await import('./run-cli.ts')
process.exitCode = await runOnProcess(stateDir)
