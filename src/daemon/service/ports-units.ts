import {
  onlyLinesOf,
  systemdCommand,
  systemdWord,
  systemdWords,
  type ServiceCommand,
} from './units.ts'

/** A port of the proxy, and the name under which the daemon gets its sockets (LISTEN_FDNAMES). */
export interface PortSocket {
  readonly name: 'rootling-https' | 'rootling-http'
  readonly port: number
}

/** The ports of the proxy. */
export const portSockets: readonly PortSocket[] = [
  { name: 'rootling-https', port: 443 },
  { name: 'rootling-http', port: 80 },
]

/** A unit of the system's service manager. */
export interface Unit {
  /** Its name, which is that of its file. */
  readonly name: string
  readonly contents: string
  /** The symbolic link by which systemd starts it with the machine, from the directory of units. */
  readonly link: string
}

/** The service that runs the daemon; there is one for the whole machine, as there is one port 443. */
export const portsService = 'rootling.service'

export const socketUnit = ({ name }: PortSocket): string => `${name}.socket`

const mark =
  '# Written by: rootling daemon install --ports. To take it back: rootling daemon uninstall\n'

/** What the units depend on. */
export interface PortsUnitsOptions {
  readonly command: ServiceCommand
  /** The user as whom the daemon runs: a number, since names may have any letters. */
  readonly uid: number
  /** The ports to serve: those that no other program has. */
  readonly sockets: readonly PortSocket[]
  /** Whether ::1 is there; a socket unit with an address that is not fails as a whole. */
  readonly ipv6: boolean
}

/**
 * Describes units of the system's systemd (systemd.socket(5)), which binds ports below 1024 on
 * loopback, and hands the sockets to the daemon, which it runs as the user. The daemon itself gets
 * no right that the user has not.
 */
export function portsUnits({ command, uid, sockets, ipv6 }: PortsUnitsOptions): Unit[] {
  const service = `${mark}[Unit]
Description=Rootling, the certificate authority for local development
Documentation=https://www.npmjs.com/package/rootling
StartLimitIntervalSec=0

[Service]
Type=exec
User=${uid}
ExecStart=${systemdCommand([command.program, ...command.args])}
Environment=${systemdWord(`ROOTLING_HOME=${command.home}`)}
Sockets=${sockets.map(socketUnit).join(' ')}
Restart=on-failure
RestartSec=10
NoNewPrivileges=yes
LimitCORE=0

[Install]
WantedBy=multi-user.target
`
  return [
    { name: portsService, contents: service, link: `multi-user.target.wants/${portsService}` },
    ...sockets.map((socket) => ({
      name: socketUnit(socket),
      contents: socketContents(socket, ipv6),
      link: `sockets.target.wants/${socketUnit(socket)}`,
    })),
  ]
}

function socketContents({ name, port }: PortSocket, ipv6: boolean): string {
  return `${mark}[Unit]
Description=Port ${port} of this machine alone, for Rootling
Documentation=https://www.npmjs.com/package/rootling

[Socket]
ListenStream=127.0.0.1:${port}
${ipv6 ? `ListenStream=[::1]:${port}\n` : ''}FileDescriptorName=${name}
Service=${portsService}

[Install]
WantedBy=sockets.target
`
}

const differing = /^(?:User=\d+|ExecStart=.+|Environment="?ROOTLING_HOME=.+|Sockets=[a-z. -]+)$/

/** The units with all ports, for what is the same in the units of every daemon. */
export const everyUnit: readonly Unit[] = portsUnits({
  command: { program: '', args: [], home: '' },
  uid: 0,
  sockets: portSockets,
  ipv6: true,
})

/** Whether `daemon install --ports` wrote this text, for whatever user and home. */
export const isPortsUnit = (text: string): boolean =>
  text.startsWith(mark) &&
  onlyLinesOf(everyUnit.map(({ contents }) => contents).join(''), differing, text)

/** What the service unit says. */
export interface InstalledPorts {
  readonly uid: number
  /** The value of ROOTLING_HOME. */
  readonly home: string
  /** The name of the authority; absent: the default one. */
  readonly authority?: string
  /** The program and its arguments. */
  readonly words: readonly string[]
}

/** Reads what `portsUnits` wrote into the service unit; `null`: this text was not written so. */
export function readPortsService(text: string): InstalledPorts | null {
  const valueOf = (key: string): string =>
    text
      .split('\n')
      .find((line) => line.startsWith(`${key}=`))
      ?.slice(key.length + 1) ?? ''
  const all = systemdWords(valueOf('ExecStart'))?.map((word) => word.replaceAll('$$', '$'))
  const [variable = ''] = systemdWords(valueOf('Environment')) ?? []
  const uid = valueOf('User')
  const home = /^ROOTLING_HOME=(.+)$/s.exec(variable)?.[1]
  if (!isPortsUnit(text) || all === undefined || home === undefined || uid === '') return null
  const words = all[0] === '/bin/sh' ? all.slice(3) : all
  const at = words.indexOf('--ca')
  const authority = at === -1 ? undefined : words[at + 1]
  return { uid: Number(uid), home, words, ...(authority === undefined ? {} : { authority }) }
}
