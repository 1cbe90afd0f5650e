/**
 * A browser on Linux, with the names under which it is installed: programs, snaps and flatpaks.
 * Programs of the Chromium family share one database, which `chromiumDirectory` finds.
 */
interface Browser {
  readonly name: string
  readonly programs: readonly string[]
  readonly snaps: readonly string[]
  readonly flatpaks: readonly string[]
}

/** A browser of the Firefox family, which keeps a database in each profile. */
export interface MozillaBrowser extends Browser {
  /** The directory with profiles.ini, below the home directory. */
  readonly legacy: string
  /** The same on macOS below `~/Library`, and on Windows below `%APPDATA%`. */
  readonly elsewhere: { readonly darwin: string; readonly win32: string }
  /** The same below the XDG configuration directory, where versions since 147 make it. */
  readonly xdg: readonly string[]
  /** Whether a policies file in /etc reaches profiles that are made later. */
  readonly readsPolicies: boolean
}

const row = (
  name: string,
  programs: readonly string[],
  snaps: readonly string[],
  flatpaks: readonly string[],
): Browser => ({ name, programs, snaps, flatpaks })

/** The browsers that read an NSS database as Chromium does; one row for each. */
export const chromiumFamily: readonly Browser[] = [
  row(
    'Chromium',
    ['chromium', 'chromium-browser', 'ungoogled-chromium'],
    ['chromium'],
    ['org.chromium.Chromium', 'io.github.ungoogled_software.ungoogled_chromium'],
  ),
  row(
    'Chrome',
    ['google-chrome', 'google-chrome-stable', 'google-chrome-beta', 'google-chrome-unstable'],
    [],
    ['com.google.Chrome', 'com.google.ChromeDev'],
  ),
  row('Brave', ['brave-browser', 'brave'], ['brave'], ['com.brave.Browser']),
  row('Edge', ['microsoft-edge', 'microsoft-edge-stable'], [], ['com.microsoft.Edge']),
  row('Vivaldi', ['vivaldi', 'vivaldi-stable'], ['vivaldi'], ['com.vivaldi.Vivaldi']),
  row('Opera', ['opera', 'opera-beta'], ['opera', 'opera-beta'], ['com.opera.Opera']),
]

/** The browsers, and the mail program, that keep profiles as Firefox does; one row for each. */
export const firefoxFamily: readonly MozillaBrowser[] = [
  {
    ...row(
      'Firefox',
      ['firefox', 'firefox-esr', 'firefox-developer-edition', 'firefox-nightly'],
      ['firefox'],
      ['org.mozilla.firefox'],
    ),
    legacy: '.mozilla/firefox',
    elsewhere: { darwin: 'Application Support/Firefox', win32: 'Mozilla/Firefox' },
    xdg: ['mozilla/firefox'],
    readsPolicies: true,
  },
  {
    ...row('LibreWolf', ['librewolf'], [], ['io.gitlab.librewolf-community']),
    legacy: '.librewolf',
    elsewhere: { darwin: 'Application Support/librewolf', win32: 'librewolf' },
    xdg: ['librewolf/librewolf', 'librewolf'],
    readsPolicies: false,
  },
  {
    ...row('Zen', ['zen-browser'], [], ['app.zen_browser.zen', 'io.github.zen_browser.zen']),
    legacy: '.zen',
    elsewhere: { darwin: 'Application Support/zen', win32: 'zen' },
    xdg: ['zen'],
    readsPolicies: false,
  },
  {
    ...row('Waterfox', ['waterfox'], [], ['net.waterfox.waterfox']),
    legacy: '.waterfox',
    elsewhere: { darwin: 'Application Support/Waterfox', win32: 'Waterfox' },
    xdg: ['waterfox'],
    readsPolicies: false,
  },
  {
    ...row('Floorp', ['floorp'], [], ['one.ablaze.floorp']),
    legacy: '.floorp',
    elsewhere: { darwin: 'Application Support/Floorp', win32: 'Floorp' },
    xdg: ['floorp'],
    readsPolicies: false,
  },
  {
    ...row(
      'Thunderbird',
      ['thunderbird'],
      ['thunderbird'],
      ['org.mozilla.Thunderbird', 'org.mozilla.thunderbird'],
    ),
    legacy: '.thunderbird',
    elsewhere: { darwin: 'Thunderbird', win32: 'Thunderbird' },
    xdg: ['thunderbird'],
    readsPolicies: false,
  },
]
