import { join } from 'node:path'
import { homeDirectory } from '../../home/home-directory.ts'

/** The program that a service manager starts, and where its state is. */
export interface ServiceCommand {
  readonly program: string
  readonly args: readonly string[]
  /**
   * The value of ROOTLING_HOME: a service does not have the shell's variables, such as
   * XDG_DATA_HOME.
   */
  readonly home: string
  /** The name of an authority other than the default one; each has a service of its own. */
  readonly authority?: string | undefined
}

type CommandLine = readonly string[]

/** A file for a service manager, and the commands that make it read the file. */
export interface Service {
  readonly path: string
  readonly contents: string | Buffer
  /** Whether `daemon install` wrote these contents, now or in an older version. */
  readonly isOwn: (contents: string) => boolean
  /** Symbolic links that enable the service, which stay where the manager cannot be asked. */
  readonly links?: readonly string[]
  /** The commands to run after the file is written. */
  readonly enable: readonly CommandLine[]
  /** The commands to run before the file is deleted. */
  readonly disable: readonly CommandLine[]
  /**
   * A command that ends with 0 while the manager has the service. Absent for a manager that has no
   * service without its file.
   */
  readonly known?: CommandLine
}

/**
 * Describes a systemd user unit (systemd.service(5), systemd.exec(5)). It has no limit of starts:
 * what hindered one, such as a port in use, may be gone much later.
 */
export function systemdService(
  command: ServiceCommand,
  configHome = join(homeDirectory(), '.config'),
): Service {
  const unit = `${['rootling', ...ofAuthority(command)].join('-')}.service`
  const systemctl = (...args: string[]): CommandLine => ['systemctl', '--user', ...args]
  const directory = join(configHome, 'systemd/user')
  const contents = `[Unit]
Description=Rootling, the certificate authority for local development
Documentation=https://www.npmjs.com/package/rootling
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${systemdCommand([command.program, ...command.args])}
Environment=${systemdWord(`ROOTLING_HOME=${command.home}`)}
Restart=on-failure
RestartSec=10
NoNewPrivileges=yes
LimitCORE=0

[Install]
WantedBy=default.target
`
  return {
    path: join(directory, unit),
    contents,
    isOwn: (text) =>
      text.startsWith('[Unit]\nDescription=Rootling, ') &&
      onlyLinesOf(contents + olderUnit, /^(?:ExecStart=|Environment="?ROOTLING_HOME=)/, text),
    links: [join(directory, 'default.target.wants', unit)],
    enable: [systemctl('daemon-reload'), systemctl('enable', '--now', unit)],
    disable: [systemctl('disable', '--now', unit)],
  }
}

/** The lines that older versions wrote into the unit. */
const olderUnit = 'StartLimitIntervalSec=60\nStartLimitBurst=5\nRestartSec=5\n'

/** Whether each line of a text is one of `known`, or of the form that differs between machines. */
export function onlyLinesOf(known: string, differing: RegExp, text: string): boolean {
  const lines = new Set(known.split('\n'))
  return text.split('\n').every((line) => lines.has(line) || differing.test(line))
}

// oxlint-disable-next-line no-control-regex
const controls = /[\u0000-\u001f\u007f]/g

/**
 * Writes a command line for a unit. systemd refuses quotes, backslashes, variables and controls in
 * the path of a program: such a program is started by a shell.
 */
export function systemdCommand(words: CommandLine): string {
  const [program = ''] = words
  const odd = /["'\\$]/.test(program) || program.search(controls) !== -1
  const all = odd ? ['/bin/sh', '-c', 'exec "$0" "$@"', ...words] : words
  return all.map((word) => systemdWord(word.replaceAll('$', '$$$$'))).join(' ')
}

/**
 * Quotes a word as systemd reads words (systemd.syntax(7)); an unescaped `%` would begin a
 * specifier, and a line end or another control another line.
 */
export function systemdWord(word: string): string {
  const escaped = word.replaceAll('%', '%%')
  if (/^[\w@%+=:,./$-]+$/.test(escaped)) return escaped
  const quoted = escaped
    .replaceAll(/["\\]/g, '\\$&')
    .replaceAll(controls, (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`)
  return `"${quoted}"`
}

/** Returns the words of a line that `systemdWord` wrote; `null`: it did not write this line. */
export function systemdWords(line: string): string[] | null {
  const words: string[] = []
  const form = /(?:^|(?<! ) )(?:([\w@%+=:,./$-]+)|"((?:[^"\\]|\\["\\]|\\x[\da-f]{2})*)")/gy
  let end = 0
  for (const { 0: all, 1: plain, 2: quoted = '' } of line.matchAll(form)) {
    end += all.length
    const word =
      plain ??
      quoted.replaceAll(/\\(?:x(..)|(.))/g, (_, code: string | undefined, character: string) =>
        code === undefined ? character : String.fromCharCode(Number.parseInt(code, 16)),
      )
    words.push(word.replaceAll('%%', '%'))
  }
  return end === line.length && words.length > 0 ? words : null
}

/** Describes a launchd agent (launchd.plist(5)) of a user at the desktop (launchctl(1)). */
export function launchdService(
  command: ServiceCommand,
  uid: number,
  home = homeDirectory(),
): Service {
  const label = ['dev.rootling.daemon', ...ofAuthority(command)].join('.')
  const path = join(home, 'Library/LaunchAgents', `${label}.plist`)
  const words = [command.program, ...command.args]
  const launchctl = (...args: string[]): CommandLine => ['launchctl', ...args]
  const domain = `gui/${uid}`
  const contents = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key><string>${label}</string>
  <key>ProgramArguments</key>
  <array>
${words.map((word) => `    <string>${xml(word)}</string>`).join('\n')}
  </array>
  <key>EnvironmentVariables</key>
  <dict><key>ROOTLING_HOME</key><string>${xml(command.home)}</string></dict>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
  <key>ProcessType</key><string>Background</string>
</dict>
</plist>
`
  return {
    path,
    contents,
    isOwn: (text) => onlyLinesOf(contents, /^ +(?:<string>|<dict><key>ROOTLING_HOME<\/key>)/, text),
    // The legacy `load -w` is not used: it ends with 0 even where it failed.
    enable: [launchctl('enable', `${domain}/${label}`), launchctl('bootstrap', domain, path)],
    disable: [launchctl('bootout', `${domain}/${label}`)],
    known: launchctl('print', `${domain}/${label}`),
  }
}

/**
 * Describes a logon task for Windows' task scheduler (its schema 1.2). The task is for one user
 * (`DOMAIN\name`), since a task for all users needs an administrator. schtasks.exe wants UTF-16
 * with a byte order mark, and copies the file.
 */
export function windowsTask(
  command: ServiceCommand,
  user: string,
  stateDirectory: string,
): Service {
  const path = join(stateDirectory, 'rootling-task.xml')
  const name = ['Rootling', ...ofAuthority(command)].join('-')
  // A task cannot set environment variables.
  const args = [...command.args, '--home', command.home].map(windowsWord).join(' ')
  const text = `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Triggers><LogonTrigger><Enabled>true</Enabled><UserId>${xml(user)}</UserId></LogonTrigger></Triggers>
  <Principals><Principal id="Author"><UserId>${xml(user)}</UserId><LogonType>InteractiveToken</LogonType><RunLevel>LeastPrivilege</RunLevel></Principal></Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Hidden>true</Hidden>
  </Settings>
  <Actions Context="Author"><Exec><Command>${xml(command.program)}</Command><Arguments>${xml(args)}</Arguments></Exec></Actions>
</Task>
`
  const schtasks = (verb: string, ...more: string[]): CommandLine => {
    return ['schtasks.exe', verb, '/TN', name, ...more]
  }
  return {
    path,
    contents: Buffer.from(`\uFEFF${text}`, 'utf16le'),
    // The state directory holds what Rootling wrote alone.
    isOwn: () => true,
    enable: [schtasks('/Create', '/XML', path, '/F'), schtasks('/Run')],
    disable: [schtasks('/Delete', '/F')],
    known: schtasks('/Query'),
  }
}

/** Quotes a word as CommandLineToArgvW reads words. */
function windowsWord(word: string): string {
  if (/^[^\s"]+$/.test(word)) return word
  return `"${word.replace(/(\\*)"/g, '$1$1\\"').replace(/\\+$/, '$&$&')}"`
}

const ofAuthority = ({ authority }: ServiceCommand): string[] =>
  authority === undefined ? [] : [authority]

function xml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  return text.replace(/[&<>"]/g, (character) => entities[character] ?? character)
}
