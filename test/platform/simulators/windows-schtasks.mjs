#!/usr/bin/env node
// Simulates schtasks.exe of Windows: /Create /XML, /Query, /Run and /Delete of one task by /TN, with
// the exit codes of Microsoft's reference (0, or 1 for every failure). As reported:
// - a file that is not UTF-16 LE with its mark is malformed, also one whose declaration says
//   something else (github.com/fatso83/vmware-auto-suspend/issues/8)
// - a logon trigger without a UserId is that of all users, and is denied to who is not elevated
//   (github.com/hanamorix/companion-emergence/issues/260)
// - /Create over an existing task asks, unless /F is given
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fail, readState, writeState } from './support.mjs'

const [verb = '', ...rest] = process.argv.slice(2)
const state = readState('windows', { elevated: false, tasks: {}, user: 'DESKTOP\\ada' })
const options = readOptions(rest)
const name = options['/TN'] ?? fail(1, "ERROR: Invalid syntax. Mandatory option 'TN' is missing.")

switch (verb) {
  case '/Create':
    create()
    break
  case '/Query':
    allow('/TN')
    if (!(name in state.tasks)) absent()
    break
  case '/Run':
    allow('/TN')
    if (!(name in state.tasks)) absent()
    state.tasks[name].runs += 1
    console.log(`SUCCESS: Attempted to run the scheduled task "${name}".`)
    break
  case '/Delete':
    allow('/TN', '/F')
    if (!('/F' in options)) fail(1, 'WARNING: Are you sure you want to remove the task (Y/N)?')
    if (!(name in state.tasks)) absent()
    if (state.refusing) fail(1, 'ERROR: Access is denied.')
    delete state.tasks[name]
    break
  default:
    fail(1, `ERROR: Invalid argument/option - '${verb}'.`)
}
writeState('windows', state)

function create() {
  allow('/TN', '/F', '/XML')
  if (name in state.tasks && !('/F' in options)) fail(1, 'WARNING: The task name already exists.')
  const file = options['/XML'] ?? fail(1, 'ERROR: Invalid syntax.')
  if (!existsSync(file)) fail(1, 'ERROR: The system cannot find the file specified.')
  const bytes = readFileSync(file)
  if (bytes[0] !== 0xff || bytes[1] !== 0xfe) malformed('(1,2)::ERROR: incorrect document syntax')
  if (!/^.<\?xml version="1.0" encoding="UTF-16"\?>/.test(bytes.toString('utf16le')))
    malformed('(1,40)::ERROR: unable to switch the encoding')
  const task = readTask(file)
  if (task.users.some((user) => user !== state.user) && !state.elevated)
    fail(1, 'ERROR: Access is denied.')
  state.tasks[name] = { ...task, runs: 0 }
}

/** By an XML parser: who triggers and runs it, and what. */
function readTask(file) {
  const script = `
import json, sys, xml.etree.ElementTree as tree
space = '{http://schemas.microsoft.com/windows/2004/02/mit/task}'
root = tree.parse(sys.argv[1]).getroot()
assert root.tag == space + 'Task', root.tag
text = lambda path: root.findtext('/'.join(space + each for each in path.split('/')))
print(json.dumps({
  'users': [text('Triggers/LogonTrigger/UserId'), text('Principals/Principal/UserId')],
  'command': text('Actions/Exec/Command'), 'arguments': text('Actions/Exec/Arguments'),
}))`
  const { status, stdout, stderr } = spawnSync('python3', ['-c', script, file], {
    encoding: 'utf8',
  })
  return status === 0 ? JSON.parse(stdout) : malformed(stderr.trim().split('\n').at(-1))
}

/** Flags alone, or with a value that is no flag. */
function readOptions(words) {
  const found = {}
  for (let at = 0; at < words.length; at++) {
    if (!words[at].startsWith('/')) fail(1, `ERROR: Invalid argument/option - '${words[at]}'.`)
    const next = words[at + 1]
    const takesValue = words[at] === '/TN' || words[at] === '/XML'
    found[words[at]] = takesValue ? next : true
    if (takesValue) at++
  }
  return found
}

function allow(...flags) {
  const other = Object.keys(options).find((flag) => !flags.includes(flag))
  if (other !== undefined) fail(1, `ERROR: Invalid argument/option - '${other}'.`)
}

function malformed(where) {
  return fail(1, `ERROR: The task XML is malformed.\n${where}`)
}

function absent() {
  fail(1, 'ERROR: The system cannot find the file specified.')
}
