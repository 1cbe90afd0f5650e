/** The systems whose steps the page shows. */
export type System = 'ios' | 'android' | 'windows' | 'macos' | 'chromeos' | 'linux' | 'firefox'

/**
 * Guesses the system of a client from its User-Agent; `null`: it does not say. An iPad calls itself a
 * Mac, which the page corrects by the number of its fingers.
 */
export function systemOf(userAgent: string): System | null {
  const text = userAgent.slice(0, 500)
  if (/\b(?:iPhone|iPad|iPod)\b/.test(text)) return 'ios'
  if (/\bAndroid\b/.test(text)) return /\bFirefox\//.test(text) ? 'firefox' : 'android'
  if (/\bFirefox\//.test(text)) return 'firefox'
  if (/\bCrOS\b/.test(text)) return 'chromeos'
  if (/\bWindows\b/.test(text)) return 'windows'
  if (/\bMac OS X\b|\bMacintosh\b/.test(text)) return 'macos'
  return /\bLinux\b/.test(text) ? 'linux' : null
}

const names: Readonly<Record<System, string>> = {
  ios: 'an iPhone or iPad',
  android: 'an Android device',
  windows: 'a Windows machine',
  macos: 'a Mac',
  chromeos: 'a Chromebook',
  linux: 'a Linux machine',
  firefox: 'Firefox',
}

/** Returns what a client seems to be, for a person. */
export const deviceOf = (userAgent: string): string => {
  const system = systemOf(userAgent)
  return system === null ? 'a device' : names[system]
}
