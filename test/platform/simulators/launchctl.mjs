#!/usr/bin/env node
// Simulates launchctl(1) of macOS. `managername`: Aqua in a desktop session, Background over ssh.
// `enable`, `bootstrap`, `bootout` and `print` for an agent in gui/UID, answering as reported:
// - bootstrap of what is there, or is still ending after a bootout: 5, Input/output error
//   (github.com/kxn/codex-remote-feishu/issues/914)
// - bootstrap where nobody is at the desktop: 125, Domain does not support specified action
// - bootout of what is not there: 3, No such process (github.com/TOSS-Soft/toss-agent-runtime/issues/42)
// - print of what is not there: 113, Could not find service
// Unlike the real one it says that a plist is malformed, as plutil does.
import { spawnSync } from 'node:child_process'
import { fail, readState, writeState } from './support.mjs'

const [verb = '', ...args] = process.argv.slice(2)
const state = readState('macos', { session: 'Aqua', uid: 501, agents: {}, ending: {} })
const domain = `gui/${state.uid}`

// Each look brings the end of a process nearer.
for (const label of Object.keys(state.ending))
  if (--state.ending[label] <= 0) delete state.ending[label]
writeState('macos', state)

switch (verb) {
  case 'managername':
    if (args.length > 0) fail(64, 'Usage: launchctl managername')
    console.log(state.session)
    break
  case 'enable':
    if (serviceOf(args) === null) fail(64, 'Usage: launchctl enable <service-target>')
    break
  case 'bootstrap':
    bootstrap(...args)
    break
  case 'bootout': {
    const label = serviceOf(args)
    if (label === null) fail(64, 'Usage: launchctl bootout <service-target>')
    if (!(label in state.agents)) fail(3, 'Boot-out failed: 3: No such process')
    if (state.refusing) fail(1, 'Boot-out failed: 1: Operation not permitted')
    delete state.agents[label]
    state.ending[label] = 3
    break
  }
  case 'print': {
    const label = serviceOf(args)
    if (label === null) fail(64, 'Usage: launchctl print <service-target>')
    if (!(label in state.agents) && !(label in state.ending))
      fail(113, `Could not find service "${label}" in domain for user gui: ${state.uid}`)
    console.log(
      `${domain}/${label} = {\n\tstate = ${label in state.ending ? 'SIGTERMed' : 'running'}\n}`,
    )
    break
  }
  default:
    fail(64, `Unrecognized subcommand: ${verb}`)
}
writeState('macos', state)

function bootstrap(target, file, ...more) {
  if (file === undefined || more.length > 0) fail(64, 'Usage: launchctl bootstrap <domain> [paths]')
  if (target !== domain || state.session !== 'Aqua')
    fail(125, 'Bootstrap failed: 125: Domain does not support specified action')
  const { Label: label, ...plist } = readPlist(file)
  if (label in state.agents || label in state.ending)
    fail(5, 'Bootstrap failed: 5: Input/output error')
  state.agents[label] = plist
}

/** The label of `gui/UID/LABEL`; `null`: it is none. */
function serviceOf([target = '', ...more]) {
  const [, label = ''] = target.split(`${domain}/`)
  return more.length > 0 || label === '' ? null : label
}

function readPlist(file) {
  const script =
    'import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], "rb"))))'
  const { status, stdout } = spawnSync('python3', ['-c', script, file], { encoding: 'utf8' })
  if (status !== 0) fail(5, 'Bootstrap failed: 5: Input/output error')
  return JSON.parse(stdout)
}
