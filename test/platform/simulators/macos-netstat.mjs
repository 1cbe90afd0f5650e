#!/usr/bin/env node
// Simulates `netstat -anvW -p tcp` of macOS over this machine's own sockets. Sources: netstat(1) of
// macOS, and the tables in sindresorhus/pid-port issue 14 and pull request 12 (macOS 14, 15 and 26)
// and danielkrainas/node-netstat issue 26 (macOS 10.14).
import { fail, readState } from './support.mjs'
import { socketsOfLinux } from './sockets.mjs'

if (process.argv.slice(2).join(' ') !== '-anvW -p tcp') fail(1, 'netstat: illegal option')
const { version } = readState('macos', { version: 26 })
const states = { '01': 'ESTABLISHED', '06': 'TIME_WAIT', '08': 'CLOSE_WAIT', '0A': 'LISTEN' }
const before = 'Proto Recv-Q Send-Q  Local Address          Foreign Address        '
const header = {
  10: '(state)     rhiwat shiwat    pid   epid  state    options',
  14: '(State)      rhiwat  shiwat    pid   epid state  options           gencnt    flags   flags1 usecnt rtncnt fltrs',
  15: '(state)        rxbytes    txbytes  rhiwat  shiwat    pid   epid state  options           gencnt    flags   flags1 usecnt rtncnt fltrs',
  26: '(state)          rxbytes      txbytes  rhiwat  shiwat          process:pid    state  options           gencnt    flags   flags1 usecnt rtncnt fltrs',
}
const rest = '00000081 04000800      3      0 000000'
const columns = {
  10: (pid) => `131072 131860 ${pid}      0 0x0102 0x00000008`,
  14: (pid) => `131072  131768  ${pid}      0 00102 00000104 000000000025c5f1 ${rest}`,
  15: (pid) => `118268 40208 131072  131768  ${pid}      0 00102 00000104 000000000025c5f1 ${rest}`,
  // A program may be named anything, digits and colons too.
  26: (pid) =>
    `118268 40208 131072  131768  Autodesk Fusion:1 (x):${pid}  00002 00000000 000000000025c5ff ${rest}`,
}
console.log('Active Internet connections (including servers)')
console.log(before + header[version])
for (const { family, local, remote, state, process } of socketsOfLinux()) {
  const isMapped = local.address.startsWith('::ffff:')
  const isDual = family === 6 && local.address === '::'
  const protocol = isDual ? 'tcp46' : family === 4 || isMapped ? 'tcp4' : 'tcp6'
  const [from, to] = [local, remote].map((end) => textOf(end, state === '0A'))
  const row = [protocol, 0, 0, from, to, states[state] ?? 'FIN_WAIT_2', columns[version](process)]
  console.log(row.join('  '))
}

function textOf({ address, port }, listens) {
  const mapped = /^::ffff:([\da-f]+):([\da-f]+)$/.exec(address)
  const octets = (word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 255]
  const shown = mapped === null ? address : mapped.slice(1).flatMap(octets).join('.')
  const any = listens && /^(?:::|0\.0\.0\.0)$/.test(shown)
  return `${any ? '*' : shown}.${port === 0 ? '*' : port}`
}
