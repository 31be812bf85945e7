// Where the service cannot be reached, the browser goes to the page itself and says so, rather than that nothing happens.
document.addEventListener("htmx:sendError", (event) => {
  const from = event.detail.elt;
  if (from instanceof HTMLFormElement) {
    from.submit();
  } else if (from instanceof HTMLAnchorElement) {
    location.assign(from.href);
  }
});
