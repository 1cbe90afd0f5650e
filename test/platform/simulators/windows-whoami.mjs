#!/usr/bin/env node
// Simulates whoami.exe of Windows. Source: Microsoft's reference of whoami (/user, /groups, /fo, /nh),
// and of well-known SIDs: S-1-16-12288 is the high mandatory level, S-1-16-8192 the medium one.
import { fail, readState } from './support.mjs'

const given = process.argv.slice(2).join(' ').toLowerCase()
const { elevated } = readState('windows', { elevated: false })
if (given === '/user /fo csv /nh') {
  console.log(String.raw`"desktop\ada","S-1-5-21-1004336348-1177238915-682003330-1001"`)
} else if (given === '/groups') {
  console.log('Jeder                                  S-1-1-0')
  console.log(`Verbindliche Beschriftung              S-1-16-${elevated ? 12288 : 8192}`)
} else {
  fail(1, 'ERROR: Invalid argument/option')
}
