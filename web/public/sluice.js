/*
 * Sluice on an advertiser's site: keeps the click id in a cookie of that site, so that it is there at the conversion
 * where browsers block cookies of other sites, and reports the conversion with it. Host this file on the same site.
 *
 *   <script src="/sluice.js" data-tracker="https://track.example" data-parameter="cid"></script>   on every page
 *   sluice.convert({ goal_alias: 'sale', amount: '49.90', currency: 'EUR', adv_order_id: '1001' }) on the thank-you page
 */
(function () {
  'use strict';
  var script = document.currentScript;
  var tracker = (script.getAttribute('data-tracker') || '').replace(/\/+$/, '');
  var parameter = script.getAttribute('data-parameter') || 'click_id';
  var days = Number(script.getAttribute('data-days')) || 30;
  var NAME = 'sluice_click';
  var SHAPE = /^[0-9a-f]{32}$/;

  function store(id) {
    var secure = location.protocol === 'https:' ? '; Secure' : '';
    document.cookie =
      NAME + '=' + id + '; Path=/; Max-Age=' + days * 86400 + '; SameSite=Lax' + secure;
    try {
      localStorage.setItem(NAME, id);
    } catch {
      // Storage is switched off: the cookie alone has to do.
    }
  }

  function clickId() {
    var match = new RegExp('(?:^|; )' + NAME + '=([0-9a-f]{32})').exec(document.cookie);
    if (match) return match[1];
    try {
      var kept = localStorage.getItem(NAME) || '';
      return SHAPE.test(kept) ? kept : '';
    } catch {
      return '';
    }
  }

  /** Reports a conversion; false when this visitor has no click id, and nothing is sent. */
  function convert(values) {
    var id = clickId();
    if (id === '') return false;
    var query = new URLSearchParams({ click_id: id, return: 'img' });
    Object.keys(values || {}).forEach(function (name) {
      query.set(name, String(values[name]));
    });
    var url = tracker + '/track/goal?' + query.toString();
    // keepalive: it goes out also when the visitor leaves the page at once.
    fetch(url, { mode: 'no-cors', credentials: 'omit', keepalive: true }).catch(function () {
      new Image().src = url;
    });
    return true;
  }

  var found = new URLSearchParams(location.search).get(parameter) || '';
  if (SHAPE.test(found)) store(found);
  window.sluice = { clickId: clickId, convert: convert };
})();
