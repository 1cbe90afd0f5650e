#!/usr/bin/env node
// Simulates `ps -o pid= -o ruid= -o uid= -p LIST` of macOS over this machine's own processes. Source:
// ps(1) of macOS: an empty header by `=`, one `-o` for each, and exit code 1 when there is no such process.
import { fail, readState } from './support.mjs'
import { processOfLinux } from './sockets.mjs'

const [list, ...others] = process.argv.slice(2).toReversed()
if (others.toReversed().join(' ') !== '-o pid= -o ruid= -o uid= -p' || !/^\d+(?:,\d+)*$/.test(list))
  fail(1, 'ps: illegal option')
// Real users of programs that have the rights of another, by the program's uid.
const { startedBy } = readState('macos', { startedBy: {} })
const found = list.split(',').flatMap((number) => {
  const known = processOfLinux(number)
  return known === null ? [] : [[number, startedBy[known.uid] ?? known.uid, known.uid]]
})
for (const row of found) console.log(row.map((column) => String(column).padStart(5)).join(' '))
if (found.length === 0) fail(1)
