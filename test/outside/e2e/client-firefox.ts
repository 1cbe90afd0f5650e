import type { Namespace } from '../../helpers/namespace.ts'
import { killGroup, waitFor } from '../../helpers/subprocess.ts'
import { notInstalled, unexpected } from './client.ts'
import type { Client } from './client.ts'
import { connectMarionette, MarionetteError } from './marionette.ts'
import type { Marionette } from './marionette.ts'

// Port 0 lets Firefox choose; it writes its choice to MarionetteActivePort in the profile.
const preferences = `
user_pref('marionette.port', 0);
user_pref('datareporting.policy.dataSubmissionEnabled', false);
user_pref('toolkit.telemetry.enabled', false);
`

/**
 * Firefox, headless, with the profile of this name, which the first `open` in a namespace makes
 * and the later ones use again. So a profile first opened before an install is an old one, and
 * one with `bornLater` tells whether trust reaches the profiles to come.
 */
export function firefoxClient(profile: string, bornLater = false): Client {
  const name = `firefox (${profile} profile)`
  return {
    name,
    ...(bornLater ? { bornLater } : {}),
    unavailable: async () => ((await findFirefox()) === null ? 'firefox is not installed' : null),
    async open(namespace) {
      const program = (await findFirefox()) ?? 'firefox'
      const directory = await openProfile(namespace, program, profile)
      const flags = ['--headless', '--marionette', '--remote-allow-system-access', '--no-remote']
      const firefox = namespace.spawn(program, [...flags, '--profile', directory])
      firefox.stdout.resume()
      firefox.stderr.resume()
      try {
        const portFile = `${directory}/MarionetteActivePort`
        const port = await waitFor(`the Marionette port of ${name}`, async () => {
          if (firefox.exitCode !== null) throw new Error(`${name} exited with ${firefox.exitCode}`)
          return Number(await namespace.readFile(portFile)) || null
        })
        const marionette = await connectMarionette(port)
        await marionette.send('WebDriver:NewSession', {
          capabilities: { alwaysMatch: { acceptInsecureCerts: false } },
        })
        await marionette.send('WebDriver:SetTimeouts', { pageLoad: 300_000 })
        return {
          fetch: (url) => navigate(marionette, name, url),
          async close() {
            // Asked to quit, it writes its databases; killed, it may leave them half-written.
            const closed = new Promise((resolve) => firefox.once('close', resolve))
            await marionette.send('Marionette:Quit', { flags: ['eForceQuit'] }).catch(() => {})
            marionette.close()
            const late = setTimeout(() => killGroup(firefox), 120_000)
            await closed
            clearTimeout(late)
          },
        }
      } catch (error) {
        killGroup(firefox)
        throw error
      }
    },
  }
}

async function navigate(marionette: Marionette, name: string, url: string) {
  try {
    await marionette.send('WebDriver:Navigate', { url })
  } catch (error) {
    if (!(error instanceof MarionetteError)) throw error
    if (error.code !== 'insecure certificate') throw unexpected(name, url, error.message)
    return { trusted: false as const, reason: error.message || error.code }
  }
  const script = 'return document.body.innerText'
  const result = await marionette.send('WebDriver:ExecuteScript', { script, args: [] })
  return { trusted: true as const, body: String((result as { value: unknown }).value) }
}

async function findFirefox(): Promise<string | null> {
  for (const program of ['firefox-esr', 'firefox']) {
    if ((await notInstalled(program)) === null) return program
  }
  return null
}

/** The directory of a profile, which Firefox itself makes and registers in profiles.ini. */
async function openProfile(namespace: Namespace, program: string, name: string): Promise<string> {
  const find = async () => {
    const script = 'ls -d "$HOME"/.mozilla/firefox/*."$1" "$HOME"/.config/mozilla/firefox/*."$1"'
    const { stdout } = await namespace.run('sh', ['-c', script, 'sh', name])
    return stdout.split('\n')[0] || null
  }
  if ((await find()) === null) await namespace.must(program, ['--headless', '-CreateProfile', name])
  const directory = await waitFor(`the Firefox profile ${name}`, find)
  await namespace.must('rm', ['-f', `${directory}/MarionetteActivePort`])
  await namespace.writeFile(`${directory}/user.js`, preferences)
  return directory
}
