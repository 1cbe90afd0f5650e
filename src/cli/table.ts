import type { CommandBody, CommandSpec } from './command.ts'
import {
  caDeleteSpec,
  caExportSpec,
  caForgetSpec,
  caImportSpec,
  caListSpec,
  caPathSpec,
  caPermitSpec,
  caRotateSpec,
  caShowSpec,
} from './specs/ca.ts'
import { completionSpec } from './specs/completion.ts'
import {
  crlSpec,
  forgetSpec,
  issueSpec,
  listSpec,
  renewSpec,
  requestSpec,
  revokeSpec,
  showSpec,
} from './specs/certificates.ts'
import { hostsAddSpec, hostsListSpec, hostsRemoveSpec } from './specs/hosts.ts'
import { dashboardSpec, proxyAddSpec, proxyListSpec, proxyRemoveSpec } from './specs/proxy.ts'
import { downSpec, initSpec, schemaSpec, upSpec } from './specs/project.ts'
import {
  acmeEabSpec,
  daemonInstallSpec,
  daemonLogsSpec,
  daemonStartSpec,
  daemonStatusSpec,
  getSpec,
  ocspSpec,
  serveSpec,
} from './specs/servers.ts'
import {
  serverAdminCertSpec,
  serverAuditSpec,
  serverEabSpec,
  serverInitSpec,
  serverMigrateSpec,
  serverRekeySpec,
  serverRotateSpec,
  serverRestoredSpec,
  serverRunSpec,
} from './specs/team.ts'
import { shareSpec } from './specs/share.ts'
import { dockerSpec, envSpec, kubernetesSpec, runSpec } from './specs/runtimes.ts'
import {
  doctorSpec,
  installClientSpec,
  installSpec,
  statusSpec,
  trustSpec,
  uninstallSpec,
  untrustSpec,
} from './specs/stores.ts'

interface TableRow {
  readonly spec: CommandSpec
  /** Whether the command may run until someone stops it. */
  readonly longRunning?: true
  /** Whether the command neither reads nor needs a state directory. */
  readonly stateless?: true
  /** Whether help leaves the command out, since another one does the same. */
  readonly hidden?: true
  readonly load: () => Promise<CommandBody<never>>
}

/** Every command, in the order of `--help`. The body of a command is loaded only when it runs. */
export const commands: readonly TableRow[] = [
  { spec: installSpec, load: async () => (await import('./commands/install.ts')).install },
  { spec: issueSpec, load: async () => (await import('./commands/issue.ts')).issueCommand },
  { spec: upSpec, load: async () => (await import('./commands/up.ts')).up },
  { spec: downSpec, load: async () => (await import('./commands/down.ts')).down },
  { spec: initSpec, load: async () => (await import('./commands/init.ts')).init },
  { spec: schemaSpec, load: async () => (await import('./commands/schema.ts')).schema },
  { spec: statusSpec, load: async () => (await import('./commands/status.ts')).status },
  { spec: doctorSpec, load: async () => (await import('./commands/doctor.ts')).doctor },
  { spec: listSpec, load: async () => (await import('./commands/list.ts')).list },
  { spec: renewSpec, load: async () => (await import('./commands/renew.ts')).renewCommand },
  { spec: requestSpec, load: async () => (await import('./commands/request.ts')).request },
  { spec: showSpec, load: async () => (await import('./commands/show.ts')).showCommand },
  { spec: revokeSpec, load: async () => (await import('./commands/revoke.ts')).revokeCommand },
  { spec: forgetSpec, load: async () => (await import('./commands/forget.ts')).forgetCommand },
  { spec: crlSpec, load: async () => (await import('./commands/crl.ts')).crl },
  {
    spec: ocspSpec,
    longRunning: true,
    load: async () => (await import('./commands/ocsp.ts')).ocsp,
  },
  {
    spec: serveSpec,
    longRunning: true,
    load: async () => (await import('./commands/serve.ts')).serve,
  },
  {
    spec: dashboardSpec,
    load: async () => (await import('./commands/dashboard.ts')).dashboard,
  },
  {
    spec: shareSpec,
    longRunning: true,
    load: async () => (await import('./commands/share.ts')).share,
  },
  { spec: getSpec, load: async () => (await import('./commands/get.ts')).getCommand },
  {
    spec: installClientSpec,
    load: async () => (await import('./commands/install-client.ts')).installClient,
  },
  { spec: runSpec, load: async () => (await import('./commands/run.ts')).run },
  { spec: envSpec, load: async () => (await import('./commands/env.ts')).env },
  { spec: dockerSpec, load: async () => (await import('./commands/docker.ts')).docker },
  {
    spec: kubernetesSpec,
    load: async () => (await import('./commands/kubernetes.ts')).kubernetes,
  },
  { spec: uninstallSpec, load: async () => (await import('./commands/uninstall.ts')).uninstall },
  {
    spec: completionSpec,
    stateless: true,
    load: async () => (await import('./commands/completion.ts')).completionOf(commands),
  },
  { spec: caListSpec, load: async () => (await import('./commands/ca-list.ts')).caList },
  { spec: caPermitSpec, load: async () => (await import('./commands/ca-permit.ts')).caPermit },
  { spec: trustSpec, load: async () => (await import('./commands/trust.ts')).trust },
  { spec: untrustSpec, load: async () => (await import('./commands/untrust.ts')).untrust },
  { spec: caRotateSpec, load: async () => (await import('./commands/ca-rotate.ts')).caRotate },
  { spec: caImportSpec, load: async () => (await import('./commands/ca-import.ts')).caImport },
  { spec: caExportSpec, load: async () => (await import('./commands/ca-export.ts')).caExport },
  { spec: caPathSpec, load: async () => (await import('./commands/ca-export.ts')).caPath },
  { spec: caShowSpec, load: async () => (await import('./commands/ca-export.ts')).caShow },
  {
    spec: caDeleteSpec,
    hidden: true,
    load: async () => (await import('./commands/uninstall.ts')).caDelete,
  },
  { spec: caForgetSpec, load: async () => (await import('./commands/ca-forget.ts')).caForget },
  { spec: daemonStartSpec, load: async () => (await import('./commands/daemon.ts')).daemonStart },
  {
    spec: {
      ...daemonStatusSpec,
      name: 'daemon stop',
      summary: 'Stop the daemon',
      examples: ['rootling daemon stop'],
    },
    load: async () => (await import('./commands/daemon.ts')).daemonStop,
  },
  {
    spec: {
      ...daemonStartSpec,
      name: 'daemon restart',
      summary: 'Stop and start it, also for new settings',
      examples: ['rootling daemon restart', 'rootling daemon restart --http01-port 5002'],
    },
    load: async () => (await import('./commands/daemon.ts')).daemonRestart,
  },
  { spec: daemonStatusSpec, load: async () => (await import('./commands/daemon.ts')).daemonStatus },
  {
    spec: daemonLogsSpec,
    longRunning: true,
    load: async () => (await import('./commands/daemon.ts')).daemonLogs,
  },
  {
    spec: {
      ...daemonStartSpec,
      name: 'daemon run',
      summary: 'Run it in the foreground',
      examples: ['rootling daemon run'],
    },
    longRunning: true,
    load: async () => (await import('./commands/daemon.ts')).daemonRun,
  },
  {
    spec: daemonInstallSpec,
    load: async () => (await import('./commands/daemon-install.ts')).daemonInstall,
  },
  {
    spec: {
      ...daemonStatusSpec,
      name: 'daemon uninstall',
      summary: 'Start it at login no more',
      examples: ['rootling daemon uninstall'],
    },
    load: async () => (await import('./commands/daemon-install.ts')).daemonUninstall,
  },
  { spec: hostsAddSpec, load: async () => (await import('./commands/hosts-add.ts')).hostsAdd },
  {
    spec: hostsRemoveSpec,
    load: async () => (await import('./commands/hosts-remove.ts')).hostsRemove,
  },
  { spec: hostsListSpec, load: async () => (await import('./commands/hosts-list.ts')).hostsList },
  { spec: proxyAddSpec, load: async () => (await import('./commands/proxy-add.ts')).proxyAdd },
  {
    spec: proxyRemoveSpec,
    load: async () => (await import('./commands/proxy-remove.ts')).proxyRemove,
  },
  { spec: proxyListSpec, load: async () => (await import('./commands/proxy-list.ts')).proxyList },
  { spec: acmeEabSpec, load: async () => (await import('./commands/acme-eab.ts')).acmeEab },
  {
    spec: serverRunSpec,
    longRunning: true,
    load: async () => (await import('./commands/server.ts')).serverRun,
  },
  { spec: serverInitSpec, load: async () => (await import('./commands/server.ts')).serverInit },
  {
    spec: serverMigrateSpec,
    load: async () => (await import('./commands/server.ts')).serverMigrate,
  },
  {
    spec: serverRotateSpec,
    load: async () => (await import('./commands/server-rotate.ts')).serverRotate,
  },
  {
    spec: serverRekeySpec,
    load: async () => (await import('./commands/server-rekey.ts')).serverRekey,
  },
  { spec: serverEabSpec, load: async () => (await import('./commands/server-eab.ts')).serverEab },
  {
    spec: serverAdminCertSpec,
    load: async () => (await import('./commands/server-admin-cert.ts')).serverAdminCert,
  },
  {
    spec: serverRestoredSpec,
    load: async () => (await import('./commands/server-restored.ts')).serverRestored,
  },
  {
    spec: serverAuditSpec,
    load: async () => (await import('./commands/server-audit.ts')).serverAudit,
  },
]

/**
 * Returns the command that the first two words of a line name, or else the first word; `undefined`:
 * there is none.
 */
export function commandOf([first = '', second = '']: readonly string[]): TableRow | undefined {
  const named = (name: string): TableRow | undefined =>
    commands.find(({ spec }) => spec.name === name)
  // `rootling server` with options alone runs it.
  const short = first === 'server' && second === '' ? 'server run' : first
  return named(`${first} ${second}`) ?? named(short)
}
