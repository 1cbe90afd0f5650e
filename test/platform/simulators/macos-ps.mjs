#!/usr/bin/env node
// Simulates `ps -o pid= -o ruid= -o uid= -p LIST` and `ps -o pid= -o comm= -p LIST` of macOS over this
// machine's own processes. Source: ps(1) of macOS: an empty header by `=`, one `-o` for each, and exit
// code 1 when there is no such process. `comm` is the path of the program there, without its arguments.
import { readlinkSync } from 'node:fs'
import { fail, readState } from './support.mjs'
import { processOfLinux } from './sockets.mjs'

const [list, ...others] = process.argv.slice(2).toReversed()
const asked = others.toReversed().join(' ')
const forUsers = asked === '-o pid= -o ruid= -o uid= -p'
if ((!forUsers && asked !== '-o pid= -o comm= -p') || !/^\d+(?:,\d+)*$/.test(list))
  fail(1, 'ps: illegal option')
// Real users of programs that have the rights of another, by the program's uid.
const { startedBy } = readState('macos', { startedBy: {} })
const found = list.split(',').flatMap((number) => {
  const known = processOfLinux(number)
  if (known === null) return []
  if (!forUsers) return [[number, readlinkSync(`/proc/${number}/exe`)]]
  return [[number, startedBy[known.uid] ?? known.uid, known.uid]]
})
for (const row of found) console.log(row.map((column) => String(column).padStart(5)).join(' '))
if (found.length === 0) fail(1)
