import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import { Browser, findChromium } from './browser.ts'
import { type RunningServer, runServer, TOKENS } from './running-server.ts'

const chromium = findChromium()

describe('the dashboard as it is served', () => {
  it('needs nothing from elsewhere and nothing inline', async () => {
    const running = await runServer()
    const page = await running.call({ path: '/' })
    const script = await running.call({ path: '/dashboard.js' })
    const css = await running.call({ path: '/dashboard.css' })
    await running.server.close()
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(page.text).not.toMatch(/<script(?! src="\/)|style=| on\w+=|https?:/)
    expect(css.text).not.toMatch(/url\(|@import|https?:/)
    expect(script.text.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(
      /https?:|innerHTML|outerHTML|insertAdjacent|eval\(|document\.write/,
    )
  })
})

describe.skipIf(chromium === null)('the dashboard in a real browser', () => {
  let running: RunningServer
  let browser: Browser

  beforeAll(async () => {
    running = await runServer({ dashboardToken: TOKENS.tuner, clock: { now: () => wallTime(Date.now()) } })
    browser = await Browser.open(chromium ?? '')
  })
  afterAll(async () => {
    await browser?.close()
    await running?.server.close()
  })

  const heading = (words: string) => browser.until(`document.querySelector('h1')?.textContent === '${words}'`)
  const click = (words: string) =>
    browser.value(
      `[...document.querySelectorAll('button')].findLast((b) => b.textContent === '${words}').click()`,
    )
  const visit = (hash: string) => browser.value(`void (location.hash = '${hash}')`)

  it('takes the token out of the address bar', async () => {
    await browser.goTo(running.dashboardUrl)
    await heading('Incidents')
    expect(await browser.value('location.href')).toBe(`${running.url}/#/incidents`)
    expect(await browser.value("sessionStorage.getItem('curfew-token')")).toBe(TOKENS.tuner)
    expect(await browser.value('localStorage.length + document.cookie.length')).toBe(0)
  })

  it('shows names from the log as text, with hidden characters made visible', async () => {
    await visit('#/incidents?show=all')
    await browser.until("document.querySelectorAll('tbody tr').length === 3")
    expect(await browser.value("document.querySelectorAll('main img').length")).toBe(0)
    expect(await browser.value('document.body.innerText')).toContain('<img src=x onerror=alert(1)>\\u202egnp')
  })

  it('explains an incident and lets its decision be released with a reason', async () => {
    await visit('#/incidents/inc_1')
    await heading('consumer:orders-svc')
    const page = await browser.value('document.body.innerText')
    for (const words of [
      'records/10m',
      '640 records',
      '0 – 14',
      'usually in less than 1 % of its calls',
      'own history and peers',
      'kong-eu',
      'Release',
    ]) {
      expect(await browser.value('document.body.textContent')).toContain(words)
    }
    expect(page).toContain('31 refused calls')
    expect(page).not.toContain('share of calls')
    await click('Release')
    await browser.value("document.querySelector('#reason').value = 'a planned migration'")
    await click('Release')
    await browser.until("!document.querySelector('dialog') && document.body.innerText.includes('released')")
    expect((await running.plane.decision('dec_2'))?.status).toBe('released')
    expect((await running.plane.audit(0, 9)).at(-1)).toMatchObject({
      reason: 'a planned migration',
      actor: 'a-tuner',
    })
  })

  it('draws the hours of the week with a description for those who cannot see it', async () => {
    await visit('#/principals/default/consumer%3Aorders-svc')
    await heading('consumer:orders-svc')
    await browser.until("document.querySelectorAll('svg.heat rect.cell').length === 168")
    const label = await browser.value("document.querySelector('svg.heat').getAttribute('aria-label')")
    expect(label).toContain('busiest on Mon at 12:00')
  })

  it('previews a change of a setting before making it', async () => {
    await visit('#/settings')
    await heading('Settings')
    await browser.value(
      "[...document.querySelectorAll('tr')].find((r) => r.textContent.startsWith('minIncidentSurprise')).querySelector('button').click()",
    )
    await browser.value(
      "void (document.querySelector('#value').value = '5', document.querySelector('#value').oninput())",
    )
    await browser.until("document.querySelector('dialog').innerText.includes('1 of the last 3 incidents')")
    await browser.value("document.querySelector('#reason').value = 'a planned migration'")
    await click('Change')
    await browser.until("document.body.innerText.includes('Version 2')")
    expect((await running.plane.settingsHistory(1))[0]?.expires).not.toBeNull()
  })

  it('signs out and refuses a wrong token', async () => {
    await click('Sign out')
    await heading('Sign in')
    expect(await browser.value('sessionStorage.length')).toBe(0)
    await browser.value("document.querySelector('#token').value = 'wrong'")
    await click('Sign in')
    await browser.until("document.body.innerText.includes('not accepted')")
  })

  it('was never stopped by its own content security policy and never failed', () => {
    const refusal = browser.complaints.filter((c) => !c.includes('401'))
    expect(refusal).toEqual([])
  })
})
