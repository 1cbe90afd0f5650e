#!/usr/bin/env node
// Simulates icacls.exe of Windows. Source: Microsoft's reference of icacls: /inheritance:r takes the
// inherited rights away, /grant:r replaces what the named one was granted, a SID stands after `*`;
// exit code 2 without the file, 87 with a wrong parameter, 1332 for a name that nobody has.
import { existsSync } from 'node:fs'
import { fail, readState, writeState } from './support.mjs'

const [file, ...words] = process.argv.slice(2)
if (file === undefined || !existsSync(file)) fail(2, 'The system cannot find the file specified.')
const state = readState('acl', {})
const rights = state[file] ?? {
  inherited: [String.raw`BUILTIN\Users:(RX)`, String.raw`NT AUTHORITY\SYSTEM:(F)`],
  granted: {},
}
while (words.length > 0) {
  const word = words.shift().toLowerCase()
  if (word === '/inheritance:r') rights.inherited = []
  else if (word === '/q') continue
  else if (word === '/grant:r') {
    const grant = /^(\*S-1-[\d-]+|[^:*]+):((?:\((?:OI|CI|IO|NP)\))*[FMR]?(?:RX)?)$/.exec(
      words.shift(),
    )
    if (grant === null) fail(87, 'Invalid parameter')
    if (!grant[1].startsWith('*')) fail(1332, `${grant[1]}: No mapping between account names`)
    rights.granted[grant[1].slice(1)] = grant[2]
  } else fail(87, `Invalid parameter "${word}"`)
}
writeState('acl', { ...state, [file]: rights })
console.log('Successfully processed 1 files; Failed processing 0 files')
