/*
 * Drawings for steps that people miss. They are our own, and have attributes instead of styles, which the
 * page's Content-Security-Policy would refuse.
 */

const list = (title: string, rows: string, height: number): string =>
  `<svg viewBox="0 0 300 ${height}" role="img" aria-label="${title}" xmlns="http://www.w3.org/2000/svg">
<rect x="1" y="1" width="298" height="${height - 2}" rx="14" fill="none" stroke="currentColor" stroke-opacity=".35" stroke-width="2"/>
${rows}
</svg>`

const text = (x: number, y: number, words: string, size = 13, opacity = 1): string =>
  `<text x="${x}" y="${y}" font-family="system-ui, sans-serif" font-size="${size}" fill="currentColor" fill-opacity="${opacity}">${words}</text>`

const line = (y: number): string =>
  `<path d="M16 ${y}H284" stroke="currentColor" stroke-opacity=".2" stroke-width="1"/>`

const chevron = (y: number): string =>
  `<path d="M270 ${y - 5}l5 5-5 5" fill="none" stroke="currentColor" stroke-opacity=".6" stroke-width="2"/>`

const hand = (x: number, y: number): string =>
  `<circle cx="${x}" cy="${y}" r="13" fill="none" stroke="#e4572e" stroke-width="3"/>`

/** Settings of iOS, where the profile that was downloaded waits to be installed. */
export const downloadedProfile = list(
  'Settings shows the row Profile Downloaded, to be tapped',
  [
    text(116, 26, 'Settings', 15),
    line(40),
    text(20, 66, 'Profile Downloaded'),
    chevron(62),
    hand(272, 62),
    line(82),
    text(20, 106, 'General', 13, 0.5),
    chevron(102),
  ].join('\n'),
  124,
)

/** The second switch of iOS, under General, About: without it an installed root is not trusted. */
export const trustSwitch = list(
  'Certificate Trust Settings shows a switch beside the root, to be turned on',
  [
    text(70, 26, 'Certificate Trust Settings', 14),
    line(40),
    text(20, 62, 'ENABLE FULL TRUST FOR ROOT CERTIFICATES', 9, 0.6),
    text(20, 92, 'Rootling'),
    '<rect x="226" y="74" width="48" height="28" rx="14" fill="#34c759"/>',
    '<circle cx="260" cy="88" r="12" fill="#fff"/>',
    '<circle cx="250" cy="88" r="34" fill="none" stroke="#e4572e" stroke-width="3"/>',
  ].join('\n'),
  132,
)
