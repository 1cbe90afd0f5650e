#!/usr/bin/env node
// Simulates wslpath of WSL. Source: Microsoft's description of wslpath: -a absolute, -u from a
// Windows path (the default), -w to one, -m with slashes; one path; a path of Linux has to be there.
import { existsSync, realpathSync } from 'node:fs'
import path from 'node:path'
import { fail, getopt, machine } from './support.mjs'

const parsed = getopt(process.argv.slice(2), 'auwm')
if (parsed === null || parsed.operands.length !== 1) {
  fail(1, 'wslpath: Invalid argument\nUsage:\n    -a    force result to absolute path format')
}
const [file] = parsed.operands
if (parsed.options.some(([flag]) => flag === 'w')) {
  if (!existsSync(file)) fail(1, `wslpath: ${file}: No such file or directory`)
  console.log(`\\\\wsl.localhost\\Debian${realpathSync(file).replaceAll('/', '\\')}`)
} else {
  const drive = /^([A-Za-z]):[\\/](.*)$/.exec(file)
  if (drive === null) fail(1, `wslpath: ${file}: Invalid argument`)
  console.log(path.join(machine, 'mnt', drive[1].toLowerCase(), drive[2].replaceAll('\\', '/')))
}
