// Keeps impact.com's click id in a first-party cookie, and carries it to the shop's other domains when a visitor goes
// there. One closure, ES2015, no dependency; served minified as /capture.js. What it does and why: docs/reference/snippet.md.
// Nothing that goes wrong in here is thrown into the page.
(() => {
  const quietly = (work) => (...values) => {
    try {
      return work(...values);
    } catch (_) {}
  };

  const start = quietly(() => {
    // The attributes of the script element. The server writes its own settings in: the defaults here, and the lines that
    // end with the name of a setting.
    const {
      cookieName = "im_ref",
      cookieDays = 30,
      parameters = "im_ref,irclickid",
      linkedDomains = "",
      consent = "implied",
      endpoint = new URL("capture", document.currentScript.src),
    } = document.currentScript.dataset;
    const refused = navigator.globalPrivacyControl; // CAPTURE_HONOR_GPC

    let allowed = !refused && consent != "required"; // whether a click may be stored now
    let consented; // what the page has said; undefined until it does
    let landed; // the click that arrived with this page: {id, at}, `at` in epoch seconds
    let seen = ""; // ids that this tab has met in an address: going back to one of them is no new click
    let domain; // of the cookie, once it was asked for
    let undo = quietly(); // what is still to be done after the latest use of a link or form

    const now = () => Math.floor(Date.now() / 1000);
    const list = (text) => text.split(/[\s,]+/);
    const isClickId = (text) => /^[\w.~:%+/=-]{1,64}$/.test(text);
    // The value of `name=value` in an address or in the cookies, an empty text if there is none.
    const valueOf = (text, name) => (RegExp(`[?&#;] ?${name}=([^;&#]*)`).exec(";" + text) || [, ""])[1];

    // Cookies --------------------------------------------------------------------------------------------------------

    const write = (suffix, value, maxAge) => {
      document.cookie =
        cookieName + suffix + "=" + value + "; Max-Age=" + maxAge + (domain && "; Domain=" + domain) +
        "; Path=/; SameSite=Lax; Secure"; // CAPTURE_COOKIE_SECURE
    };
    const read = (suffix) => valueOf(document.cookie, cookieName + suffix);

    // The highest domain that the browser takes a cookie for, found by asking it, since it knows the public suffixes;
    // empty if it takes one for this host alone, undefined if it takes none.
    const findDomain = () => {
      const labels = location.hostname.split(".");
      const domains = labels.map((_, index) => labels.slice(~index).join(".")).slice(1); // CAPTURE_COOKIE_DOMAIN
      return (
        domain ||
        domains.concat("").find((one) => {
          domain = one;
          write("_p", 1, 9);
          const taken = read("_p");
          write("_p", 1, 0);
          return taken;
        })
      );
    };

    // A zero before the time says that the server may not know of the click; the server's own cookie has none.
    const store = (click, zero) => {
      const maxAge = cookieDays * 86400 + click.at - now();
      write("", click.id, maxAge);
      write("_at", zero + click.at, maxAge);
    };

    const kept = quietly(() => {
      const id = read("");
      const time = read("_at");
      return isClickId(id) && { id, at: (time < now() && +time) || now(), time };
    });

    const current = () => kept() || (allowed && landed) || {};

    // The server -----------------------------------------------------------------------------------------------------

    // A text needs no preflight, and `keepalive` outlives the page.
    const send = (click, url, referrer) =>
      fetch(endpoint, {
        method: "POST",
        credentials: "include",
        keepalive: true,
        body: JSON.stringify({ im_ref: click.id, captured_at: click.at, consent: consented, url, referrer }),
      }).catch(() => {});

    const keep = () => {
      const { id, time } = kept() || {};
      // A time that is missing or yet to come makes no click newer than the one that landed.
      if (findDomain() == null || id == landed.id || (time > landed.at && time <= now())) return;
      store(landed, "0");
      send(landed, location.href, document.referrer);
      sessionStorage.conversionCapture += seen;
    };

    const forget = () => {
      const click = current();
      allowed = consented = false;
      if (click.id) { // CAPTURE_COOKIE_HTTPONLY
        findDomain();
        store({ at: 0 }, ""); // that is over, so the browser deletes
        send(click);
        sessionStorage.conversionCapture = "";
      }
    };

    // Landing --------------------------------------------------------------------------------------------------------

    const look = quietly((address) => {
      // `unescape` decodes as the server does: once, byte by byte, and a plus stays a plus.
      const linked = valueOf(address, "im_linked");
      const id = list(linked ? "im_ref" : parameters).reduce((id, name) => id || unescape(valueOf(address, name)), "");
      const times = (linked || now() + "." + now()).split("."); // of capture and of issue, and a mark of the server's
      const mark = "," + id + ",";
      if (isClickId(id) && !seen.includes(mark) && times[0] > 0 && Math.abs(now() - times[1]) <= (times[2] ? 300 : 120)) {
        seen += mark;
        landed = { id, at: Math.min(times[0], now()) };
        if (linked) history.replaceState(history.state, "", location.href.replace(/&?im_linked=[^&#]*/, ""));
        if (allowed) keep();
      }
    });

    // Other domains --------------------------------------------------------------------------------------------------

    // The address with the click in it, or undefined if it is not an https page of a linked domain, or of this site.
    const link = (address) => {
      const { id, at } = current();
      const url = new URL(address, document.baseURI);
      if (
        id &&
        url.protocol == "https:" &&
        list(linkedDomains).some((one) => one == url.host || (one[0] == "*" && url.host.endsWith(one.slice(1)))) &&
        !("." + url.hostname).endsWith("." + (findDomain() || location.hostname))
      ) {
        // In front, where it goes before an older one.
        url.fields = new URLSearchParams({ im_ref: id, im_linked: at + "." + now() });
        url.search = url.fields + url.search.replace("?", "&");
        return url;
      }
    };

    // Changes an attribute for the moment in which the browser uses it; throws if there is nothing to change.
    const decorate = (element, attribute) => {
      const before = element.getAttribute(attribute);
      const url = link(before);
      element.setAttribute(attribute, url.href);
      setTimeout((undo = () => element.setAttribute(attribute, before)));
      return url;
    };

    const submitting = (form, submitter) => {
      const url = quietly(decorate)(submitter, "formaction") || decorate(form, "action");
      const fill = (event) => [...url.fields].map((pair) => event.formData.set(...pair));
      // A form with GET replaces the query of its address by its fields.
      if ((submitter.formMethod || form.method) == "get") form.addEventListener("formdata", fill, { once: true });
    };

    const onUse = quietly((event) => {
      const path = event.composedPath();
      undo();
      look(location.href);
      path.map(
        quietly((element) => {
          // A form in a shadow tree keeps its submit event to itself, so its button's click has to do.
          if (element.submit && (event.type == "submit" || path[0] != event.target))
            submitting(element, event.submitter || path[0]);
          decorate(element, "href");
        }),
      );
    });

    const wrap = (object, name, before) => {
      const original = object[name];
      object[name] = function (...values) {
        quietly(before)(values, this);
        return original.apply(this, values);
      };
    };

    // ----------------------------------------------------------------------------------------------------------------

    window.conversionCapture = {
      clickId: () => current().id,
      consent: quietly((granted) => {
        consented = allowed = granted && !refused;
        allowed ? landed && keep() : forget();
      }),
    };
    quietly(() => {
      const { name, type } = performance.getEntriesByType("navigation")[0];
      if (type != "navigate") seen += sessionStorage.conversionCapture;
      look(name);
    })();
    look(location.href);
    ["click", "auxclick", "contextmenu", "submit"].map((type) => addEventListener(type, onUse, true));
    wrap(history, "pushState", (values) => look("" + values[2]));
    wrap(window, "open", (values) => (values[0] = link(values[0]).href));
    wrap(HTMLFormElement.prototype, "submit", (_, form) => submitting(form, form));
    const before = kept();
    if (refused) before && forget();
    else if (!landed && before.time[0] == "0") {
      consented = !allowed || consented; // a click that was kept was allowed
      findDomain();
      store(before, "");
      send(before);
    }
  });

  window.conversionCapture || start();
})();
