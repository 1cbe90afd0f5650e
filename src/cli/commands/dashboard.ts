import { openDashboard } from '../../daemon/launch.ts'
import { RootlingError } from '../../errors.ts'
import { dashboardHost, urlOfRoute } from '../../proxy/routes.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { noteFallback } from '../proxy.ts'
import type { dashboardSpec } from '../specs/proxy.ts'
import { launchOptions } from './daemon.ts'

/**
 * `rootling dashboard`: prints the URL of the dashboard, with its secret. It opens no browser: what opens
 * one has the URL among its arguments, which every user of the machine can read.
 */
export async function dashboard(
  _args: ArgumentsOf<typeof dashboardSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output } = context
  const { status, token } = await openDashboard(launchOptions(context))
  const { port, reason, hint } = status
  if (port === null)
    throw new RootlingError('listen-failed', reason ?? 'The proxy does not listen.', {
      hint: hint ?? 'To see why: rootling daemon logs',
    })
  const url = `${urlOfRoute({ host: dashboardHost, path: '/' }, port)}#token=${token}`
  output.result([url], { url, port })
  output.note(
    'Open this in your browser, and keep it to yourself: whoever has it may renew certificates. It is good until the daemon stops.',
  )
  noteFallback(status, output)
  return exitCodes.ok
}
