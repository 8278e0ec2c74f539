/** The one page; everything on it is put there by the script. */
export const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Curfew</title>
<link rel="icon" href="/dashboard.svg" type="image/svg+xml">
<link rel="stylesheet" href="/dashboard.css">
<script src="/dashboard.js" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header id="top"></header>
<main id="main" tabindex="-1"><noscript>This page needs JavaScript.</noscript></main>
<div id="announce" role="status" aria-live="polite"></div>
</body>
</html>
`

/** The mark: a crescent over a bar, for the hour at which callers should be home. */
export const mark = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect width="32" height="32" rx="7" fill="#3d4fd6"/>
<path d="M20.5 5.5a9 9 0 1 0 6 12.6A7.6 7.6 0 0 1 20.5 5.500z" fill="#fff"/>
<rect x="6" y="25" width="20" height="2.600" rx="1.300" fill="#fff"/>
</svg>
`
