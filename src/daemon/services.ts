import { homedir } from 'node:os'
import { join } from 'node:path'

/** What a service manager is to start: the program and its arguments, and their surroundings. */
export interface ServiceCommand {
  readonly program: string
  readonly args: readonly string[]
  /** Where ROOTLING_HOME must be set for the service to find its state; absent: the default. */
  readonly home?: string | undefined
}

/** A file for a service manager, and what makes it take notice. */
export interface Service {
  readonly path: string
  readonly text: string
  /** To type after writing the file, and before deleting it. */
  readonly enable: readonly (readonly string[])[]
  readonly disable: readonly (readonly string[])[]
}

/** A systemd user unit (systemd.service(5), systemd.exec(5)). */
export function systemdService(
  command: ServiceCommand,
  configHome = join(homedir(), '.config'),
): Service {
  const words = [command.program, ...command.args].map(systemdWord).join(' ')
  const text = `[Unit]
Description=Rootling, the certificate authority for local development
Documentation=https://www.npmjs.com/package/rootling

[Service]
Type=exec
ExecStart=${words}
${command.home === undefined ? '' : `Environment=${systemdWord(`ROOTLING_HOME=${command.home}`)}\n`}Restart=on-failure
RestartSec=5
NoNewPrivileges=yes
LimitCORE=0

[Install]
WantedBy=default.target
`
  const unit = 'rootling.service'
  return {
    path: join(configHome, 'systemd/user', unit),
    text,
    enable: [
      ['systemctl', '--user', 'daemon-reload'],
      ['systemctl', '--user', 'enable', '--now', unit],
    ],
    disable: [['systemctl', '--user', 'disable', '--now', unit]],
  }
}

/** Quoted as systemd reads words: `%` and `$` would be replaced. */
function systemdWord(word: string): string {
  const escaped = word.replaceAll('%', '%%').replaceAll('$', '$$$$')
  if (/^[\w@%+=:,./$-]+$/.test(escaped)) return escaped
  return `"${escaped.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

/** A launchd agent (launchd.plist(5)). */
export function launchdService(command: ServiceCommand, home = homedir()): Service {
  const label = 'dev.rootling.daemon'
  const path = join(home, 'Library/LaunchAgents', `${label}.plist`)
  const words = [command.program, ...command.args]
  const environment =
    command.home === undefined
      ? ''
      : `  <key>EnvironmentVariables</key>
  <dict><key>ROOTLING_HOME</key><string>${xml(command.home)}</string></dict>
`
  const text = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key><string>${label}</string>
  <key>ProgramArguments</key>
  <array>
${words.map((word) => `    <string>${xml(word)}</string>`).join('\n')}
  </array>
${environment}  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
  <key>ProcessType</key><string>Background</string>
</dict>
</plist>
`
  return {
    path,
    text,
    enable: [['launchctl', 'load', '-w', path]],
    disable: [['launchctl', 'unload', '-w', path]],
  }
}

/** A logon task for Windows' task scheduler (its schema 1.2). */
export function windowsTask(command: ServiceCommand, stateDirectory: string): Service {
  const path = join(stateDirectory, 'rootling-task.xml')
  const args = command.args.map((word) => (/\s/.test(word) ? `"${word}"` : word)).join(' ')
  const text = `<?xml version="1.0" encoding="UTF-8"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Triggers><LogonTrigger><Enabled>true</Enabled></LogonTrigger></Triggers>
  <Principals><Principal id="Author"><LogonType>InteractiveToken</LogonType><RunLevel>LeastPrivilege</RunLevel></Principal></Principals>
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
  return {
    path,
    text,
    enable: [['schtasks.exe', '/Create', '/F', '/TN', 'Rootling', '/XML', path]],
    disable: [['schtasks.exe', '/Delete', '/F', '/TN', 'Rootling']],
  }
}

function xml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  return text.replace(/[&<>"]/g, (character) => entities[character] ?? character)
}
