import { fingerprintText } from '../../x509/parsed-certificate.ts'
import { escapeHtml, pageOf, type Page } from '../page.ts'
import type { System } from './device.ts'
import { downloadedProfile, trustSwitch } from './pictures.ts'

/** The files that the page offers, below its own path. */
export const rootFiles = {
  profile: 'rootling.mobileconfig',
  der: 'rootling-root.crt',
  pem: 'rootling-root.pem',
} as const

export interface SharePageFacts {
  /** The common name of the root. */
  readonly name: string
  /** SHA-256, lower-case hex. */
  readonly fingerprint: string
  readonly words: readonly string[]
  /** The names for which the root may speak; none: it has no constraints. */
  readonly permitted: readonly string[]
  readonly until: Date
  /** The URL of the page that only a device which trusts the root can open without a warning. */
  readonly checkUrl: string
  /** The URL that the page asks again and again until it is answered. */
  readonly probeUrl: string
  /** The apps that are shared, as URLs. */
  readonly apps: readonly string[]
  /** The system of the client, whose steps are open. */
  readonly system: System | null
}

const style = `
h3 { margin: 1.25rem 0 .25rem; font-size: 1rem }
section p { margin: .25rem 0 .75rem }
ol { margin: .25rem 0 .75rem; padding-left: 1.25rem }
li { margin: .25rem 0 }
summary { padding: .6rem 0; font-weight: 600; cursor: pointer }
details { border-top: 1px solid var(--line) }
details:first-of-type { border-top: 0 }
svg { display: block; width: 100%; max-width: 19rem; height: auto; margin: .75rem 0 }
a { color: var(--leaf) }
a.button { display: inline-block; padding: .6rem 1rem; border-radius: .5rem; background: var(--leaf); color: var(--card); font-weight: 600; text-decoration: none }
a:focus-visible, summary:focus-visible { outline: 3px solid var(--leaf); outline-offset: 2px }
.fingerprint { font: .875rem/1.6 ui-monospace, monospace; overflow-wrap: anywhere }
`

/**
 * A page of another origin may not read the answer, but learns whether there was one: it is there only
 * where the certificate is trusted, since no browser asks about a request that a page makes.
 */
const script = `
const main = document.querySelector('main')
const status = document.querySelector('#status')
if (navigator.maxTouchPoints > 1 && /Macintosh/.test(navigator.userAgent)) {
  for (const each of document.querySelectorAll('details')) each.open = each.id === 'ios'
}
const ask = async () => {
  try {
    await fetch(main.dataset.probe, { mode: 'no-cors', cache: 'no-store' })
    location.replace(main.dataset.check)
  } catch {
    status.textContent = 'This device does not trust the certificate yet.'
    setTimeout(ask, 2000)
  }
}
ask()
`

interface Steps {
  readonly system: System
  readonly title: string
  readonly html: string
}

const steps = (profile: string, der: string, pem: string): readonly Steps[] => [
  {
    system: 'ios',
    title: 'iPhone, iPad (open this page in Safari)',
    html: `<ol>
<li><a class="button" href="${profile}">Download the profile</a> and tap <b>Allow</b>.</li>
<li>Open <b>Settings</b>, tap <b>Profile Downloaded</b>, then <b>Install</b>, twice.${downloadedProfile}</li>
<li>Still in Settings: <b>General</b>, <b>About</b>, at the very end <b>Certificate Trust Settings</b>. Turn the switch on. Without it nothing is trusted.${trustSwitch}</li>
<li>Come back to this page.</li>
</ol>`,
  },
  {
    system: 'android',
    title: 'Android',
    html: `<ol>
<li><a class="button" href="${der}">Download the root</a></li>
<li>Open <b>Settings</b> and search for <b>CA certificate</b>; it is below Security, Encryption &amp; credentials, Install a certificate.</li>
<li>Tap <b>Install anyway</b>, and choose the file that was downloaded.</li>
<li>Come back to this page in Chrome.</li>
</ol>
<p>Apps trust it only where their network security configuration has <code>&lt;certificates src="user"/&gt;</code>.</p>`,
  },
  {
    system: 'windows',
    title: 'Windows',
    html: `<ol>
<li><a class="button" href="${der}">Download the root</a></li>
<li>Open the file: <b>Install Certificate</b>, <b>Current User</b>, <b>Place all certificates in the following store</b>, <b>Trusted Root Certification Authorities</b>.</li>
<li>Or in a terminal: <code>certutil -user -addstore Root ${der}</code></li>
</ol>`,
  },
  {
    system: 'macos',
    title: 'macOS',
    html: `<ol>
<li><a class="button" href="${der}">Download the root</a></li>
<li>Open the file in <b>Keychain Access</b>, open the certificate there, and under <b>Trust</b> choose <b>Always Trust</b>.</li>
<li>Or with Rootling: <code>rootling trust ${pem}</code>, with <a href="${pem}">this file</a>.</li>
</ol>`,
  },
  {
    system: 'chromeos',
    title: 'ChromeOS',
    html: `<ol>
<li><a class="button" href="${der}">Download the root</a></li>
<li>Open <code>chrome://certificate-manager</code> (older: Settings, Privacy and security, Security, Manage certificates), and import it as an authority for websites.</li>
</ol>`,
  },
  {
    system: 'linux',
    title: 'Linux',
    html: `<ol>
<li><a class="button" href="${pem}">Download the root</a></li>
<li>With Rootling: <code>rootling trust ${pem}</code></li>
<li>Or on Debian and Ubuntu: <code>sudo cp ${pem} /usr/local/share/ca-certificates/rootling-shared.crt &amp;&amp; sudo update-ca-certificates</code></li>
<li>Or on Fedora: <code>sudo trust anchor ${pem}</code></li>
</ol>
<p>Chromium keeps its own list: Settings, Privacy and security, Security, Manage certificates.</p>`,
  },
  {
    system: 'firefox',
    title: 'Firefox',
    html: `<ol>
<li><a class="button" href="${pem}">Download the root</a></li>
<li>On a computer: <b>Settings</b>, <b>Privacy &amp; Security</b>, <b>View Certificates</b>, <b>Authorities</b>, <b>Import</b>; tick <b>websites</b>.</li>
<li>On Android: install it as above for Android; then in Firefox <b>Settings</b>, <b>About Firefox</b>, tap the logo five times, go back, <b>Secret Settings</b>, <b>Use third party CA certificates</b>.</li>
</ol>`,
  },
]

/** The page on which a device gets the root. It is served over plain HTTP, at a path with a token. */
export function sharePage(facts: SharePageFacts): Page {
  const { name, fingerprint, words, permitted, apps, checkUrl, probeUrl } = facts
  const { profile, der, pem } = rootFiles
  const list = (texts: readonly string[]): string =>
    texts.map((each) => `<code>${escapeHtml(each)}</code>`).join(', ')
  const all = steps(profile, der, pem).map(
    ({ system, title, html }) =>
      `<details id="${system}"${system === facts.system ? ' open' : ''}><summary>${title}</summary>\n${html}</details>`,
  )
  const main = `<h1>Trust a developer’s websites</h1>
<p>Somebody near you runs <code>rootling share</code>. Go on only if you know who, and on a device for tests.</p>
<section><h2>What you install</h2>
<p><b>${escapeHtml(name)}</b>: ${
    permitted.length === 0
      ? 'it may speak for <b>every website</b>.'
      : `it can only speak for ${list(permitted)} and what is below them, never for other websites.`
  }</p>
<p>The developer’s terminal shows the same words:</p>
<p><b>${escapeHtml(words.join(' '))}</b></p>
<p>Your device shows this SHA-256 fingerprint when you look at the certificate:</p>
<p class="fingerprint">${escapeHtml(fingerprintText(fingerprint))}</p>
</section>
<section><h2>How</h2>
${all.join('\n')}
</section>
<section><h2>Check</h2>
<p id="status" role="status">This page finds out by itself when your device trusts it.</p>
<p>You can also <a href="${escapeHtml(checkUrl)}">open the check page</a> yourself. It must open without any warning.</p>
${apps.length === 0 ? '' : `<p>Shared with you: ${apps.map((url) => `<a href="${escapeHtml(url)}">${escapeHtml(url)}</a>`).join(', ')}</p>`}
<p>All of this ends at ${escapeHtml(facts.until.toISOString().slice(11, 16))} UTC.</p>
</section>`
  const page = pageOf({ title: 'Trust a developer’s websites', main, style, script })
  // What the script needs stands in the document, so that its text, and so its hash, never changes.
  const data = `<main data-check="${escapeHtml(checkUrl)}" data-probe="${escapeHtml(probeUrl)}">`
  return { ...page, html: page.html.replace('<main>', () => data) }
}

/** The page over HTTPS that proves trust by being there. */
export function checkPage({ name, apps }: Pick<SharePageFacts, 'name' | 'apps'>): Page {
  const links = apps.map((url) => `<li><a href="${escapeHtml(url)}">${escapeHtml(url)}</a></li>`)
  return pageOf({
    title: 'This device trusts it',
    main: `<h1>This device trusts it</h1>
<p>The connection to this page is secured by ${escapeHtml(name)}. If your browser showed a warning before it, the device does not trust it yet.</p>
${links.length === 0 ? '' : `<section><h2>Shared with you</h2><ul>\n${links.join('\n')}\n</ul></section>`}`,
    style,
  })
}
